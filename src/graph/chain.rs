//! Functions of single elements, one after the other: what one kernel can compute without storing what lies between.

/// A function of single elements, as an operation says that it is one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pointwise {
    /// Its name in `shaders/common/functions.wgsl` or one of the two beside it. Its arguments there are the inputs, then the
    /// constants.
    pub(crate) function: &'static str,
    /// What each input is to it.
    pub(crate) inputs: Vec<Extent>,
    /// Finite, since the text of a kernel has no other numbers.
    pub(crate) constants: Vec<f32>,
}

impl Pointwise {
    /// A function of so many tensors of one shape.
    pub(crate) fn of(function: &'static str, inputs: usize) -> Self {
        Self { function, inputs: vec![Extent::Element; inputs], constants: Vec::new() }
    }
}

/// How an operand belongs to the elements of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Extent {
    /// One value for each element: a tensor of the result's shape.
    Element,
    /// One value for each index of axis 1.
    Channel,
    /// One value for all of them.
    Scalar,
}

/// An argument of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Argument {
    /// The result of the link before it; of the first link, what the chain continues.
    Previous,
    /// An operand of the chain.
    Operand(usize),
}

/// One function of a chain.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Link {
    pub(crate) function: &'static str,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) constants: Vec<f32>,
}

/// Functions of single elements, one after the other.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Chain {
    pub(crate) operands: Vec<Extent>,
    pub(crate) links: Vec<Link>,
}

impl Chain {
    /// Whether it changes nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Adds another chain, its operands behind those that are there.
    pub(crate) fn extend(&mut self, other: &Self) {
        let before = self.operands.len();
        let moved = |argument: &Argument| match argument {
            Argument::Operand(number) => Argument::Operand(before + number),
            Argument::Previous => Argument::Previous,
        };
        let moved = |link: &Link| Link { arguments: link.arguments.iter().map(moved).collect(), ..link.clone() };
        self.links.extend(other.links.iter().map(moved));
        self.operands.extend(&other.operands);
    }

    /// The chain that adds a value to each channel.
    pub(crate) fn bias() -> Self {
        let link =
            Link { function: "add", arguments: vec![Argument::Previous, Argument::Operand(0)], constants: Vec::new() };
        Self { operands: vec![Extent::Channel], links: vec![link] }
    }

    /// A function by itself, of operands alone.
    pub(crate) fn of(pointwise: &Pointwise) -> Self {
        let mut chain = Self::default();
        chain.then(pointwise, None, |operands, _, extent| {
            operands.push(extent);
            operands.len() - 1
        });
        chain
    }

    /// Adds a function whose input number `previous`, if any, is what the chain has computed so far, and whose other inputs
    /// are the operands that `place` gives them a number for.
    pub(crate) fn then(
        &mut self,
        pointwise: &Pointwise,
        previous: Option<usize>,
        mut place: impl FnMut(&mut Vec<Extent>, usize, Extent) -> usize,
    ) {
        let argument = |(input, &extent): (usize, &Extent)| match previous {
            Some(number) if number == input => Argument::Previous,
            _ => Argument::Operand(place(&mut self.operands, input, extent)),
        };
        let arguments = pointwise.inputs.iter().enumerate().map(argument).collect();
        self.links.push(Link { function: pointwise.function, arguments, constants: pointwise.constants.clone() });
    }
}
