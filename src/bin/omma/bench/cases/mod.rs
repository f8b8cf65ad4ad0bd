//! The work that is timed, as data: a case is a graph, what of it counts, and how its results are checked. The command and
//! `benches/` time the same cases; nothing here knows either, only the library.

mod conv;
mod models;
mod ops;
mod prepared;
mod slices;

use omma::{DeviceClass, Graph, HostTensor, Mode, PlanOptions, Result, Tensor};

pub(crate) use models::{NETWORKS, Network};
pub(crate) use prepared::Prepared;
use slices::Slices;

type Build = dyn for<'g> Fn(&'g Graph) -> Result<Vec<Tensor<'g>>>;

/// Something to time.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) shape: String,
    /// `forward`, `input gradient`, ...
    pub(crate) direction: &'static str,
    mode: Mode,
    /// Whether it is about half precision, asked for or not.
    half: bool,
    /// The graph; what it returns is fetched and checked.
    build: Box<Build>,
    /// What the host feeds at every step. Large operands are parameters instead, which stay on the device.
    inputs: Vec<(&'static str, Fed)>,
    what: What,
    check: Check,
}

/// What of a step is timed.
#[derive(Debug, Clone, Copy)]
enum What {
    /// The dispatches of the nodes whose name begins so, all of them where it is empty: a user pays for packing and for
    /// partial sums too. `bytes` is what the operation has to move, whatever its kernels do.
    Nodes { prefix: &'static str, bytes: u64 },
    /// The whole step from the host's call to the device's rest, inputs included.
    Step,
}

/// How results are compared with the f64 reference.
enum Check {
    /// The whole graph runs in f64.
    Graph,
    /// Some channels of a convolution: all of it would take longer in f64 than all the timing.
    Slices(Slices),
}

/// Values for an input.
#[derive(Debug, Clone)]
enum Fed {
    Floats(Vec<f32>),
    Labels(Vec<u32>),
    Bytes(Vec<u8>),
}

impl Fed {
    /// Bytes of every value.
    fn bytes(count: usize) -> Self {
        Self::Bytes((0..count).map(|i| (i * 7 % 256) as u8).collect())
    }

    /// Values between 0 and 1 that look like noise.
    fn pixels(count: usize) -> Self {
        Self::Floats((0..count as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 16_777_216.0).collect())
    }

    /// Labels below `classes`.
    fn labels(count: usize, classes: usize) -> Self {
        Self::Labels((0..count).map(|i| (i * 7 % classes) as u32).collect())
    }

    fn host(&self) -> HostTensor<'_> {
        match self {
            Self::Floats(values) => values.into(),
            Self::Labels(values) => values.into(),
            Self::Bytes(values) => values.into(),
        }
    }

    fn widened(&self) -> Vec<f64> {
        match self {
            Self::Floats(values) => values.iter().copied().map(f64::from).collect(),
            Self::Labels(values) => values.iter().copied().map(f64::from).collect(),
            Self::Bytes(values) => values.iter().copied().map(f64::from).collect(),
        }
    }
}

impl Case {
    fn new(
        name: impl Into<String>,
        shape: impl ToString,
        direction: &'static str,
        what: What,
        build: impl for<'g> Fn(&'g Graph) -> Result<Vec<Tensor<'g>>> + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            shape: shape.to_string(),
            direction,
            mode: Mode::Evaluation,
            half: false,
            build: Box::new(build),
            inputs: Vec::new(),
            what,
            check: Check::Graph,
        }
    }

    /// Name, shape and direction: what a row is called, and what filters look through.
    pub(crate) fn title(&self) -> String {
        format!("{} {} {}", self.name, self.shape, self.direction)
    }

    fn options(&self, options: &PlanOptions) -> PlanOptions {
        let options = options.clone();
        if self.half { options.half_precision() } else { options }
    }

    fn training(mut self) -> Self {
        self.mode = Mode::Training;
        self
    }

    fn feed(mut self, name: &'static str, values: Fed) -> Self {
        self.inputs.push((name, values));
        self
    }

    fn feeds(&self) -> Vec<(&str, HostTensor<'_>)> {
        self.inputs.iter().map(|(name, values)| (*name, values.host())).collect()
    }
}

/// The cases of a set, for the kind of device that they are to keep busy.
pub(crate) fn cases(set: &str, class: DeviceClass) -> Vec<Case> {
    match set {
        "conv" => conv::cases(class),
        "ops" => ops::cases(class),
        "models" => models::inference(),
        "train" => models::training(class),
        _ => Vec::new(),
    }
}
