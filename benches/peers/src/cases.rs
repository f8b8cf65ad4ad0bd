//! The work that every engine does, as data. Names, shapes and directions are those of `omma bench`.

use std::fmt;

/// Something to time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) set: Set,
    pub(crate) name: &'static str,
    pub(crate) work: Work,
}

/// What can be asked for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Set {
    /// Convolutions, forward with bias and ReLU, and both gradients; products of matrices
    Conv,
    /// An inference of a whole network
    Models,
    /// A training step of a whole network
    Train,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// The operands stay where the engine computes; so does the result.
    Convolution(Convolution, Direction),
    /// Of two square matrices that stay where the engine computes, in single or in half precision.
    Product { side: usize, half: bool },
    /// From images on the host to logits where the engine computes.
    Inference(Network, usize),
    /// From images and labels on the host to changed parameters: forward, backward, SGD with momentum.
    Training(Network, usize),
}

/// Of SGD.
pub(crate) const LEARNING_RATE: f64 = 0.01;
pub(crate) const MOMENTUM: f64 = 0.9;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward,
    InputGradient,
    WeightGradient,
}

/// A convolution of square images, padded so that a stride of 1 keeps their size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Convolution {
    pub(crate) batch: usize,
    pub(crate) in_channels: usize,
    pub(crate) out_channels: usize,
    pub(crate) side: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) groups: usize,
}

impl Convolution {
    pub(crate) fn padding(&self) -> usize {
        self.kernel / 2
    }

    pub(crate) fn x(&self) -> [usize; 4] {
        [self.batch, self.in_channels, self.side, self.side]
    }

    pub(crate) fn weight(&self) -> [usize; 4] {
        [self.out_channels, self.in_channels / self.groups, self.kernel, self.kernel]
    }

    pub(crate) fn y(&self) -> [usize; 4] {
        let side = (self.side + 2 * self.padding() - self.kernel) / self.stride + 1;
        [self.batch, self.out_channels, side, side]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    LeNet5,
    /// On images of this side.
    ResNet18(usize),
}

impl Network {
    pub(crate) fn images(self, batch: usize) -> [usize; 4] {
        match self {
            Self::LeNet5 => [batch, 1, 28, 28],
            Self::ResNet18(side) => [batch, 3, side, side],
        }
    }

    pub(crate) fn classes(self) -> usize {
        match self {
            Self::LeNet5 => 10,
            Self::ResNet18(_) => 1000,
        }
    }
}

/// A layer: name, channels in and out, side of the image, kernel, stride, groups, batches on a software adapter; a GPU has
/// both.
struct Layer(&'static str, [usize; 2], usize, usize, usize, usize, &'static [usize]);

const BOTH: &[usize] = &[1, 8];
const ONE: &[usize] = &[1];

const LAYERS: &[Layer] = &[
    Layer("resnet 3x3", [64, 64], 56, 3, 1, 1, BOTH),
    Layer("resnet 3x3", [128, 128], 28, 3, 1, 1, BOTH),
    Layer("resnet 3x3", [256, 256], 14, 3, 1, 1, BOTH),
    Layer("resnet 3x3", [512, 512], 7, 3, 1, 1, BOTH),
    Layer("resnet 1x1", [64, 256], 56, 1, 1, 1, BOTH),
    Layer("resnet 1x1", [256, 64], 56, 1, 1, 1, BOTH),
    Layer("resnet 1x1", [512, 128], 28, 1, 1, 1, BOTH),
    Layer("resnet 3x3/2", [64, 128], 56, 3, 2, 1, ONE),
    Layer("resnet 1x1/2", [64, 128], 56, 1, 2, 1, ONE),
    Layer("resnet stem 7x7/2", [3, 64], 224, 7, 2, 1, BOTH),
    Layer("vgg 3x3", [64, 64], 224, 3, 1, 1, ONE),
    Layer("vgg 3x3", [128, 128], 112, 3, 1, 1, ONE),
    Layer("vgg 3x3", [256, 256], 56, 3, 1, 1, ONE),
    Layer("vgg 3x3", [512, 512], 28, 3, 1, 1, ONE),
    Layer("mobilenet depthwise 3x3", [32, 32], 112, 3, 1, 32, BOTH),
    Layer("mobilenet depthwise 3x3/2", [64, 64], 112, 3, 2, 64, BOTH),
    Layer("mobilenet depthwise 3x3", [512, 512], 14, 3, 1, 512, ONE),
    Layer("resnext 3x3", [128, 128], 56, 3, 1, 32, ONE),
    Layer("mobilenet 1x1", [32, 64], 112, 1, 1, 1, BOTH),
    Layer("mobilenet 1x1", [512, 512], 14, 1, 1, 1, ONE),
];

/// Sides of the matrices that are multiplied in single precision, and in half.
const PRODUCTS_ON_SOFTWARE: [&[usize]; 2] = [&[512], &[]];
const PRODUCTS_ON_GPUS: [&[usize]; 2] = [&[1024, 4096], &[8192]];
const DIRECTIONS: [Direction; 3] = [Direction::Forward, Direction::InputGradient, Direction::WeightGradient];

/// Every case of a software adapter or of a GPU.
pub(crate) fn cases(software: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for &Layer(name, [in_channels, out_channels], side, kernel, stride, groups, batches) in LAYERS {
        for &batch in if software { batches } else { BOTH } {
            let convolution = Convolution { batch, in_channels, out_channels, side, kernel, stride, groups };
            cases.extend(DIRECTIONS.map(|direction| {
                let work = Work::Convolution(convolution, direction);
                Case { set: Set::Conv, name, work }
            }));
        }
    }
    let case = |set, name, work| Case { set, name, work };
    let [single, half] = if software { PRODUCTS_ON_SOFTWARE } else { PRODUCTS_ON_GPUS };
    let of = |half: bool| move |&side: &usize| Work::Product { side, half };
    cases.extend(single.iter().map(of(false)).map(|work| case(Set::Conv, "matmul", work)));
    cases.extend(half.iter().map(of(true)).map(|work| case(Set::Conv, "matmul f16", work)));
    cases.push(case(Set::Models, "resnet18", Work::Inference(Network::ResNet18(224), 1)));
    cases.push(case(Set::Train, "lenet5", Work::Training(Network::LeNet5, 64)));
    cases.push(case(Set::Train, "resnet18-64", Work::Training(Network::ResNet18(64), 4)));
    cases
}

impl Case {
    pub(crate) fn shape(&self) -> String {
        match self.work {
            Work::Convolution(convolution, _) => {
                format!("{:?} to {} channels", convolution.x(), convolution.out_channels)
            }
            Work::Product { side, .. } => format!("{:?}", [side; 3]),
            Work::Inference(network, batch) | Work::Training(network, batch) => format!("{:?}", network.images(batch)),
        }
    }

    pub(crate) fn direction(&self) -> &'static str {
        match self.work {
            Work::Convolution(_, Direction::Forward) | Work::Product { .. } => "forward",
            Work::Convolution(_, Direction::InputGradient) => "input gradient",
            Work::Convolution(_, Direction::WeightGradient) => "weight gradient",
            Work::Inference(..) => "inference",
            Work::Training(..) => "training",
        }
    }

    /// Whether name, shape and direction, in one line, contain the text.
    pub(crate) fn contains(&self, text: &str) -> bool {
        self.to_string().contains(text)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.shape(), self.direction())
    }
}
