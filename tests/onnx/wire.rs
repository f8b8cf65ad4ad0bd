//! Small ONNX files, written as the messages of `onnx-ml.proto` lie in memory.

/// A message in the making: fields by their numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value > 127 {
            self.0.push(value as u8 | 128);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn int(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3);
        self.varint(value as u64);
        self
    }

    fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    fn message(self, field: u64, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }
}

/// Element types by their numbers.
pub(crate) const FLOAT: i64 = 1;
pub(crate) const INT64: i64 = 7;
pub(crate) const STRING: i64 = 8;
pub(crate) const BOOL: i64 = 9;
pub(crate) const FLOAT16: i64 = 10;

/// A model of these nodes.
#[derive(Debug, Clone)]
pub(crate) struct File {
    graph: Message,
    opset: i64,
}

/// An attribute's value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Attribute<'a> {
    Int(i64),
    Ints(&'a [i64]),
    Float(f32),
    Floats(&'a [f32]),
    Text(&'a str),
    Texts(&'a [&'a str]),
    /// A tensor's type, extents and bytes.
    Tensor(i64, &'a [i64], &'a [u8]),
}

impl File {
    pub(crate) fn new(opset: i64) -> Self {
        Self { graph: Message::default(), opset }
    }

    fn value(mut self, field: u64, name: &str, element: i64, shape: &[i64]) -> Self {
        let dim = |shape: Message, &extent: &i64| shape.message(1, &Message::default().int(1, extent));
        let shape = shape.iter().fold(Message::default(), dim);
        let tensor = Message::default().int(1, element).message(2, &shape);
        let ty = Message::default().message(1, &tensor);
        self.graph = self.graph.message(field, &Message::default().bytes(1, name.as_bytes()).message(2, &ty));
        self
    }

    pub(crate) fn input(self, name: &str, element: i64, shape: &[i64]) -> Self {
        self.value(11, name, element, shape)
    }

    pub(crate) fn output(self, name: &str, element: i64) -> Self {
        self.value(12, name, element, &[])
    }

    /// An input that is no tensor.
    pub(crate) fn sequence(mut self, name: &str) -> Self {
        self.graph = self.graph.message(11, &Message::default().bytes(1, name.as_bytes()));
        self
    }

    pub(crate) fn integers(mut self, name: &str, shape: &[i64], values: &[i64]) -> Self {
        let dims = shape.iter().fold(Message::default(), |tensor, &extent| tensor.int(1, extent));
        let tensor = values.iter().fold(dims.int(2, INT64), |tensor, &value| tensor.int(7, value));
        self.graph = self.graph.message(5, &tensor.bytes(8, name.as_bytes()));
        self
    }

    pub(crate) fn floats(mut self, name: &str, shape: &[i64], values: &[f32]) -> Self {
        let dims = shape.iter().fold(Message::default(), |tensor, &extent| tensor.int(1, extent));
        let tensor = values.iter().fold(dims.int(2, FLOAT), |tensor, &value| tensor.float(4, value));
        self.graph = self.graph.message(5, &tensor.bytes(8, name.as_bytes()));
        self
    }

    /// An initializer whose bytes are as they are given.
    pub(crate) fn raw(mut self, name: &str, element: i64, shape: &[i64], raw: &[u8]) -> Self {
        let dims = shape.iter().fold(Message::default(), |tensor, &extent| tensor.int(1, extent));
        self.graph = self.graph.message(5, &dims.int(2, element).bytes(8, name.as_bytes()).bytes(9, raw));
        self
    }

    /// An initializer of texts.
    pub(crate) fn texts(mut self, name: &str, shape: &[i64], texts: &[&str]) -> Self {
        let dims = shape.iter().fold(Message::default(), |tensor, &extent| tensor.int(1, extent)).int(2, STRING);
        let tensor = texts.iter().fold(dims, |tensor, text| tensor.bytes(6, text.as_bytes()));
        self.graph = self.graph.message(5, &tensor.bytes(8, name.as_bytes()));
        self
    }

    /// An initializer of floats in another file.
    pub(crate) fn external(mut self, name: &str, shape: &[i64], entries: &[(&str, &str)]) -> Self {
        let dims = shape.iter().fold(Message::default(), |tensor, &extent| tensor.int(1, extent));
        let entry = |tensor: Message, &(key, value): &(&str, &str)| {
            tensor.message(13, &Message::default().bytes(1, key.as_bytes()).bytes(2, value.as_bytes()))
        };
        let tensor = entries.iter().fold(dims.int(2, FLOAT).bytes(8, name.as_bytes()), entry);
        self.graph = self.graph.message(5, &tensor.int(14, 1));
        self
    }

    /// A node whose one branch holds the like, so many times.
    pub(crate) fn nested(mut self, depth: usize) -> Self {
        let mut graph = Message::default();
        for _ in 0..depth {
            let attribute = Message::default().bytes(1, b"then_branch").message(6, &graph).int(20, 5);
            graph = Message::default().message(1, &Message::default().bytes(4, b"If").message(5, &attribute));
        }
        self.graph.0.extend(graph.0);
        self
    }

    /// The bytes with a function of the domain `own` that calls itself.
    pub(crate) fn bytes_with_endless(&self, function: &str) -> Vec<u8> {
        let call = Message::default().bytes(2, b"y").bytes(4, function.as_bytes()).bytes(7, b"own");
        let opset = Message::default().bytes(1, b"own").int(2, 1);
        let body = Message::default().bytes(1, function.as_bytes()).bytes(5, b"y").message(7, &call).message(9, &opset);
        let functions = Message::default().message(25, &body.bytes(10, b"own")).message(8, &opset);
        [self.bytes(), functions.0].concat()
    }

    /// A node of the domain `own`.
    pub(crate) fn own_node(mut self, operator: &str, output: &str) -> Self {
        let node = Message::default().bytes(2, output.as_bytes()).bytes(4, operator.as_bytes());
        self.graph = self.graph.message(1, &node.bytes(7, b"own"));
        self
    }

    pub(crate) fn node(self, operator: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        self.node_with(operator, inputs, outputs, &[])
    }

    pub(crate) fn node_with(
        mut self,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attribute<'_>)],
    ) -> Self {
        let node = inputs.iter().fold(Message::default(), |node, name| node.bytes(1, name.as_bytes()));
        let node = outputs.iter().fold(node, |node, name| node.bytes(2, name.as_bytes()));
        let attribute = |node: Message, &(name, value): &(&str, Attribute<'_>)| {
            let attribute = Message::default().bytes(1, name.as_bytes());
            node.message(
                5,
                &match value {
                    Attribute::Int(value) => attribute.int(3, value).int(20, 2),
                    Attribute::Ints(values) => values.iter().fold(attribute, |a, &value| a.int(8, value)).int(20, 7),
                    Attribute::Float(value) => attribute.float(2, value).int(20, 1),
                    Attribute::Floats(values) => {
                        values.iter().fold(attribute, |a, &value| a.float(7, value)).int(20, 6)
                    }
                    Attribute::Text(text) => attribute.bytes(4, text.as_bytes()).int(20, 3),
                    Attribute::Texts(texts) => {
                        texts.iter().fold(attribute, |a, text| a.bytes(9, text.as_bytes())).int(20, 8)
                    }
                    Attribute::Tensor(element, shape, raw) => {
                        let dims = shape.iter().fold(Message::default(), |tensor, &extent| tensor.int(1, extent));
                        attribute.message(5, &dims.int(2, element).bytes(9, raw)).int(20, 4)
                    }
                },
            )
        };
        let node = attributes.iter().fold(node.bytes(4, operator.as_bytes()), attribute);
        self.graph = self.graph.message(1, &node);
        self
    }

    /// A node of one input and output with a name of its own.
    pub(crate) fn named(mut self, name: &str, operator: &str, input: &str, output: &str) -> Self {
        let node = Message::default().bytes(1, input.as_bytes()).bytes(2, output.as_bytes());
        let node = node.bytes(3, name.as_bytes()).bytes(4, operator.as_bytes());
        self.graph = self.graph.message(1, &node);
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let opset = Message::default().bytes(1, b"").int(2, self.opset);
        Message::default().int(1, 8).message(7, &self.graph).message(8, &opset).0
    }
}
