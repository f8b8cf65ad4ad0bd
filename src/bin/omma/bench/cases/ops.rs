//! Operations that are bound by memory. Each says how often its tensor must be moved at least, reads and writes together; a
//! kernel that moves more is the slower for it.

use omma::{
    BatchNorm, Conv2d, CrossEntropy, DeviceClass, Graph, Init, Optimizer, PadMode, Pool2d, Resize, Result, Slice,
    Tensor,
};

use super::conv::gradient;
use super::{Case, Fed, What};

const CHANNELS: usize = 64;
const SIDE: usize = 56;
const CLASSES: usize = 1000;

/// `times` moves of a tensor of this shape, by the nodes whose name begins with `prefix`.
fn moves(prefix: &'static str, shape: &[usize], times: f64) -> What {
    What::Nodes { prefix, bytes: (shape.iter().product::<usize>() as f64 * 4.0 * times) as u64 }
}

/// A tensor on the device.
fn given<'g>(graph: &'g Graph, name: &str, shape: &[usize]) -> Result<Tensor<'g>> {
    graph.parameter(name, shape, Init::HeNormal)
}

pub(super) fn cases(class: DeviceClass) -> Vec<Case> {
    // Larger than the caches of the device, and no larger than the reference has patience for.
    let batch = if class == DeviceClass::Cpu { 16 } else { 64 };
    let image = [batch, CHANNELS, SIDE, SIDE];
    let all = [
        normalization(image),
        pointwise(image),
        moving(image),
        pooling(image),
        between_convolutions(image),
        rows(256 * batch),
        loss(256 * batch),
        optimizers(256 * batch),
    ];
    all.into_iter().flatten().collect()
}

fn normalization(image: [usize; 4]) -> Vec<Case> {
    let shape = format!("{image:?}");
    let pictures = [image[0], 3, 4 * SIDE, 4 * SIDE];
    vec![
        // A byte is read, a float is written.
        Case::new("normalize bytes", format!("{pictures:?}"), "forward", moves("", &pictures, 1.25), move |graph| {
            Ok(vec![graph.image_input("pictures", pictures)?.normalize(&[0.5; 3], &[0.25; 3])?])
        })
        .feed("pictures", Fed::bytes(pictures.iter().product())),
        // Read for the statistics, read again, written.
        Case::new("batch norm training", &shape, "forward", moves("", &image, 3.0), move |graph| {
            Ok(vec![given(graph, "x", &image)?.batch_norm("bn", BatchNorm::default())?])
        })
        .training(),
        // x and dy are read for the sums, both again, dx is written.
        Case::new("batch norm training", &shape, "gradient", moves("batch_norm.grad", &image, 5.0), move |graph| {
            let x = given(graph, "x", &image)?;
            let y = x.batch_norm("bn", BatchNorm::default())?;
            Ok(gradient(y, given(graph, "dy", &image)?, x)?.into_iter().collect())
        })
        .training(),
        Case::new("batch norm evaluation", &shape, "forward", moves("", &image, 2.0), move |graph| {
            Ok(vec![given(graph, "x", &image)?.batch_norm("bn", BatchNorm::default())?])
        }),
    ]
}

fn pointwise(image: [usize; 4]) -> Vec<Case> {
    let shape = format!("{image:?}");
    let half = [image[0], image[1] / 2, image[2], image[3]];
    vec![
        Case::new("relu", &shape, "forward", moves("", &image, 2.0), move |graph| {
            Ok(vec![given(graph, "x", &image)?.relu()?])
        }),
        // What decided the sign and dy are read, dx is written.
        Case::new("relu", &shape, "gradient", moves("relu", &image, 3.0), move |graph| {
            let x = given(graph, "x", &image)?;
            Ok(gradient(x.relu()?, given(graph, "dy", &image)?, x)?.into_iter().collect())
        }),
        Case::new("add", &shape, "forward", moves("", &image, 3.0), move |graph| {
            Ok(vec![given(graph, "x", &image)?.add(given(graph, "other", &image)?)?])
        }),
        // Two are read, the result is written: the sum between them need not be.
        Case::new("add + relu", &shape, "forward", moves("", &image, 3.0), move |graph| {
            Ok(vec![given(graph, "x", &image)?.add(given(graph, "other", &image)?)?.relu()?])
        }),
        Case::new("dropout", &shape, "forward", moves("", &image, 2.0), move |graph| {
            Ok(vec![given(graph, "x", &image)?.dropout(0.5)?])
        })
        .training(),
        // What is copied is small.
        Case::new(
            "expand",
            format!("{:?} to {shape}", [CHANNELS, 1, 1]),
            "forward",
            moves("", &image, 1.0),
            move |graph| Ok(vec![given(graph, "x", &[CHANNELS, 1, 1])?.expand(image)?]),
        ),
        Case::new("concat", format!("2 of {half:?}"), "forward", moves("", &image, 2.0), move |graph| {
            Ok(vec![graph.concat(&[given(graph, "x", &half)?, given(graph, "other", &half)?], 1)?])
        }),
    ]
}

/// What moves elements, or few of each are added up for one.
fn moving(image: [usize; 4]) -> Vec<Case> {
    type Build = for<'g> fn(Tensor<'g>) -> Result<Tensor<'g>>;
    // Of neighbouring windows each element is read once.
    let windows = (SIDE - 2) as f64 / SIDE as f64 * 3.0;
    let one_by_one: [(&str, f64, Build); 9] = [
        ("transpose", 2.0, |x| x.transpose(&[0, 2, 3, 1])),
        ("slice", 1.0, |x| x.slice(1, 0, CHANNELS as i64 / 2, 1)),
        ("slice in steps", 0.5, |x| {
            x.slices(&[Slice::new(2, 0, SIDE as i64).step(2), Slice::new(3, 0, SIDE as i64).step(2)])
        }),
        ("pad 1", 2.07, |x| x.pad(&[[0, 0], [0, 0], [1, 1], [1, 1]], PadMode::Constant(0.0))),
        ("pad 1 reflected", 2.07, |x| x.pad(&[[0, 0], [0, 0], [1, 1], [1, 1]], PadMode::Reflect)),
        ("channel shuffle", 2.0, |x| x.channel_shuffle(4)),
        ("upsample 2", 5.0, |x| x.upsample(2)),
        ("resize linear 2", 5.0, |x| x.resize(&[2, 3], &[2 * SIDE, 2 * SIDE], Resize::linear())),
        ("unfold 3", 1.0 + windows, |x| x.unfold(2, 3, 1, 1)),
    ];
    let forward = one_by_one.map(|(name, times, build)| {
        Case::new(name, format!("{image:?}"), "forward", moves("", &image, times), move |graph| {
            Ok(vec![build(given(graph, "x", &image)?)?])
        })
    });
    // As often as forward, but that zeros come where nothing was taken.
    let backward =
        [(one_by_one[3], 2.07), (one_by_one[2], 1.25), (one_by_one[7], 5.0)].map(|((name, _, build), times)| {
            Case::new(name, format!("{image:?}"), "gradient", moves("", &image, times), move |graph| {
                let x = given(graph, "x", &image)?;
                let y = build(x)?;
                Ok(gradient(y, given(graph, "dy", &y.shape())?, x)?.into_iter().collect())
            })
        });
    let rows = image[0] * SIDE * SIDE / 4;
    let table = [CLASSES, 4 * CHANNELS];
    let looked_up = [rows, 4 * CHANNELS];
    let gathers = [
        Case::new("gather", format!("{rows} of {table:?}"), "forward", moves("", &looked_up, 2.0), move |graph| {
            Ok(vec![given(graph, "x", &table)?.gather(graph.label_input("indices", rows)?, 0)?])
        }),
        Case::new(
            "gather",
            format!("{rows} of {table:?}"),
            "gradient",
            moves("gather.grad", &looked_up, 1.0),
            move |graph| {
                let x = given(graph, "x", &table)?;
                let y = x.gather(graph.label_input("indices", rows)?, 0)?;
                Ok(gradient(y, given(graph, "dy", &looked_up)?, x)?.into_iter().collect())
            },
        ),
    ];
    let gathers = gathers.map(|case| case.feed("indices", Fed::labels(rows, CLASSES)));
    forward.into_iter().chain(backward).chain(gathers).collect()
}

fn pooling(image: [usize; 4]) -> Vec<Case> {
    let shape = format!("{image:?}");
    let output = [image[0], image[1], image[2] / 2, image[3] / 2];
    let window = Pool2d::new(3).stride(2).padding(1);
    let volume = [image[0], image[1] / 8, 8, image[2], image[3]];
    let halved = [volume[0], volume[1], 4, output[2], output[3]];
    vec![
        Case::new("max pool 2", &shape, "forward", moves("", &image, 1.25), move |graph| {
            Ok(vec![given(graph, "x", &image)?.max_pool2d(2)?])
        }),
        Case::new("max pool 3/2", &shape, "forward", moves("", &image, 1.25), move |graph| {
            Ok(vec![given(graph, "x", &image)?.max_pool2d(window)?])
        }),
        // dy and where the maximum was are read, dx is written.
        Case::new("max pool 2", &shape, "gradient", moves("max_pool2d.grad_input", &image, 1.5), move |graph| {
            let x = given(graph, "x", &image)?;
            Ok(gradient(x.max_pool2d(2)?, given(graph, "dy", &output)?, x)?.into_iter().collect())
        }),
        Case::new("avg pool 2", &shape, "forward", moves("", &image, 1.25), move |graph| {
            Ok(vec![given(graph, "x", &image)?.avg_pool2d(2)?])
        }),
        Case::new("avg pool 2", &shape, "gradient", moves("avg_pool2d.grad_input", &image, 1.25), move |graph| {
            let x = given(graph, "x", &image)?;
            Ok(gradient(x.avg_pool2d(2)?, given(graph, "dy", &output)?, x)?.into_iter().collect())
        }),
        Case::new("max pool 3d 2", format!("{volume:?}"), "forward", moves("", &volume, 1.125), move |graph| {
            Ok(vec![given(graph, "x", &volume)?.max_pool3d(2)?])
        }),
        Case::new(
            "max pool 3d 2",
            format!("{volume:?}"),
            "gradient",
            moves("max_pool3d.grad_input", &volume, 1.25),
            move |graph| {
                let x = given(graph, "x", &volume)?;
                Ok(gradient(x.max_pool3d(2)?, given(graph, "dy", &halved)?, x)?.into_iter().collect())
            },
        ),
        Case::new("global avg pool", &shape, "forward", moves("", &image, 1.0), move |graph| {
            Ok(vec![given(graph, "x", &image)?.global_avg_pool2d()?])
        }),
    ]
}

/// A convolution that mixes all channels or, `exact`, one whose results are exact: of two elements within a rounding the
/// reference might take another as the larger.
fn convolved<'g>(graph: &'g Graph, x: Tensor<'g>, name: &str, exact: bool) -> Result<Tensor<'g>> {
    let settings = Conv2d::new(CHANNELS, 1);
    match exact {
        true => x.conv2d_with(graph.parameter(name, [CHANNELS, 1, 1, 1], Init::Ones)?, None, settings.groups(CHANNELS)),
        false => x.conv2d_with(given(graph, name, &[CHANNELS, CHANNELS, 1, 1])?, None, settings),
    }
}

/// As they are in networks, where images come and go in the layout that convolutions like.
fn between_convolutions(image: [usize; 4]) -> Vec<Case> {
    type Build = for<'g> fn(Tensor<'g>) -> Result<Tensor<'g>>;
    /// A name; of forward and back the nodes and moves, as above; whether elements are chosen.
    type Row = (&'static str, [&'static str; 2], [f64; 2], bool, Build);
    let all: [Row; 4] = [
        ("batch norm training", ["batch_norm", "batch_norm.grad"], [3.0, 5.0], false, |x| {
            x.batch_norm("bn", BatchNorm::default())
        }),
        ("max pooling 3/2", ["max_pool2d", "max_pool2d.grad_input"], [1.25, 1.5], true, |x| {
            x.max_pool2d(Pool2d::new(3).stride(2).padding(1))
        }),
        ("stochastic pooling 2", ["stochastic_pool2d", "stochastic_pool2d.grad_input"], [1.5, 1.5], true, |x| {
            x.stochastic_pool2d(2)
        }),
        ("average pooling 2", ["avg_pool2d", "avg_pool2d.grad_input"], [1.25, 1.25], false, |x| x.avg_pool2d(2)),
    ];
    let cases = all.map(|(name, prefixes, times, chooses, build)| {
        [("forward", 0), ("gradient", 1)].map(|(direction, back)| {
            let what = moves(prefixes[back], &image, times[back]);
            Case::new(format!("{name} between convolutions"), format!("{image:?}"), direction, what, move |graph| {
                let x = given(graph, "x", &image)?;
                let between = convolved(graph, x, "first", chooses)?;
                let y = convolved(graph, build(between)?, "second", chooses)?;
                // A sum of few that nearly cancel has a bound of its own, which no later convolution's can stand for.
                let target = if chooses { between } else { x };
                match back {
                    0 => Ok(vec![y]),
                    _ => Ok(gradient(y, given(graph, "dy", &y.shape())?, target)?.into_iter().collect()),
                }
            })
            .training()
        })
    });
    cases.into_iter().flatten().collect()
}

/// What takes a row of scores as a whole.
fn rows(rows: usize) -> Vec<Case> {
    let scores = [rows, CLASSES];
    let shape = format!("{scores:?}");
    vec![
        Case::new("softmax", &shape, "forward", moves("", &scores, 2.0), move |graph| {
            Ok(vec![given(graph, "x", &scores)?.softmax(1)?])
        }),
        // y and dy are read, dx is written.
        Case::new("softmax", &shape, "gradient", moves("softmax.grad", &scores, 3.0), move |graph| {
            let x = given(graph, "x", &scores)?;
            Ok(gradient(x.softmax(1)?, given(graph, "dy", &scores)?, x)?.into_iter().collect())
        }),
        Case::new("top 5", &shape, "forward", moves("", &scores, 1.0), move |graph| {
            Ok(vec![given(graph, "x", &scores)?.top_k(1, 5)?.0])
        }),
    ]
}

fn loss(rows: usize) -> Vec<Case> {
    type Build = for<'g> fn(Tensor<'g>, Tensor<'g>) -> Result<Tensor<'g>>;
    let logits = [rows, CLASSES];
    let all: [(&str, Build); 2] = [
        ("softmax cross-entropy", |x, labels| x.softmax_cross_entropy(labels)),
        ("smoothed cross-entropy", |x, labels| x.cross_entropy(labels, CrossEntropy::default().smoothing(0.1))),
    ];
    let cases = all.map(|(name, build)| {
        // The gradient's rows compute the loss on the way.
        [("forward", 1.0), ("gradient", 2.0)].map(|(direction, times)| {
            Case::new(name, format!("{logits:?}"), direction, moves("", &logits, times), move |graph| {
                let (x, labels) = (given(graph, "x", &logits)?, graph.label_input("labels", rows)?);
                let loss = build(x, labels)?;
                if direction == "forward" {
                    return Ok(vec![loss]);
                }
                Ok(gradient(loss, graph.constant(1.0, 1)?, x)?.into_iter().collect())
            })
            .feed("labels", Fed::labels(rows, CLASSES))
        })
    });
    cases.into_iter().flatten().collect()
}

/// Only the update counts, not what computes the gradient.
fn optimizers(rows: usize) -> Vec<Case> {
    let weights = [rows, CLASSES];
    let case = |name: &str, optimizer: Optimizer, what: What| {
        Case::new(name, format!("{weights:?}"), "update", what, move |graph| {
            let gradient = graph.state("gradient", weights, Init::HeNormal)?.relu()?;
            graph.update(&[(given(graph, "x", &weights)?, gradient)], &optimizer)?;
            Ok(Vec::new())
        })
        .training()
    };
    // Parameter, gradient and velocity or both moments are read; all but the gradient are written.
    vec![
        case("sgd with momentum", Optimizer::sgd(0.01).momentum(0.9), moves("sgd", &weights, 5.0)),
        case("adam", Optimizer::adam(0.001), moves("adam", &weights, 7.0)),
        case("lion", Optimizer::lion(0.0001), moves("lion", &weights, 5.0)),
        // The average is read and written, and the gradients are read once more for their norm.
        case(
            "sgd clipped and averaged",
            Optimizer::sgd(0.01).momentum(0.9).clip_norm(1.0).ema(0.999),
            moves("sgd", &weights, 8.0),
        ),
    ]
}
