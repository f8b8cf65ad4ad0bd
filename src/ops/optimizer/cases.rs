//! What the optimizers are tried on: three steps from the same data.

use super::Optimizer;
use crate::error::Result;
use crate::graph::{Init, Tensor};
use crate::selftest::{CaseBuilder, OpCase};

pub(crate) fn cases() -> Vec<OpCase> {
    let rules = [
        ("sgd", Optimizer::sgd(0.1)),
        ("sgd with momentum and decay", Optimizer::sgd(0.1).momentum(0.9).weight_decay(0.01)),
        ("sgd with dampening", Optimizer::sgd(0.1).momentum(0.9).dampening(0.5)),
        ("sgd with Nesterov", Optimizer::sgd(0.1).momentum(0.9).nesterov()),
        ("adam", Optimizer::adam(0.01).weight_decay(0.1)),
        ("adamw", Optimizer::adamw(0.01)),
        ("rmsprop", Optimizer::rmsprop(0.01).weight_decay(0.1)),
        ("rmsprop with momentum", Optimizer::rmsprop(0.01).momentum(0.9)),
        ("rmsprop centered", Optimizer::rmsprop(0.01).alpha(0.9).epsilon(1e-3).centered()),
        ("rmsprop centered with momentum", Optimizer::rmsprop(0.01).momentum(0.5).centered()),
        ("adagrad", Optimizer::adagrad(0.1).weight_decay(0.1)),
        ("lion", Optimizer::lion(0.01).weight_decay(0.1)),
        ("sgd without decay of biases", Optimizer::sgd(0.1).weight_decay(0.5).no_bias_decay()),
        ("sgd with clipped values", Optimizer::sgd(0.1).clip_value(0.3)),
        ("sgd with a clipped norm", Optimizer::sgd(0.1).clip_norm(0.5)),
        ("adam with all clipped", Optimizer::adam(0.01).clip_value(0.7).clip_norm(2.0).skip_nonfinite()),
        ("sgd with a norm within its limit", Optimizer::sgd(0.1).clip_norm(1e6)),
        ("sgd averaged", Optimizer::sgd(0.1).ema(0.9)),
        ("adam averaged with warm-up", Optimizer::adam(0.01).ema(0.999).ema_warmup()),
        ("sgd of three steps", Optimizer::sgd(0.1).momentum(0.9).accumulate(3)),
        (
            "rmsprop with everything",
            Optimizer::rmsprop(0.01).momentum(0.9).centered().clip_norm(1.0).ema(0.9).accumulate(3),
        ),
    ];
    let shaped = rules.into_iter().map(|(name, optimizer)| {
        OpCase::new(format!("optimizer {name}"), move |cx| {
            let graph = cx.graph();
            // Sizes that leave gaps between parameters, and two that share one gradient.
            let mut pairs = Vec::new();
            for (index, size) in [1, 67, 300].into_iter().enumerate() {
                let parameter = graph.parameter(&format!("p{index}"), size, Init::HeNormal)?;
                let gradient = cx.normal(&format!("g{index}"), [size])?;
                pairs.push((parameter, gradient.add(parameter)?));
            }
            let twin = graph.parameter("twin", 67, Init::HeNormal)?;
            pairs.push((twin, pairs[1].1));
            // A gradient that is a view, as that of a reshaped parameter is.
            let matrix = graph.parameter("matrix", [4, 5], Init::HeNormal)?;
            pairs.push((matrix, cx.normal("g matrix", [20])?.relu()?.reshape([4, 5])?));
            graph.update(&pairs, &optimizer)?;
            // One that another update has placed already.
            let late = graph.parameter("late", 300, Init::HeNormal)?;
            graph.update(&[(late, pairs[2].1)], &optimizer)?;
            // Gradients that others read as well: the first lies in its place all the same, the second is copied there,
            // as its reader computes another gradient into the same buffer.
            let parameter = |name| graph.parameter(name, 67, Init::HeNormal);
            let [read, source, derived] = [parameter("read")?, parameter("source")?, parameter("derived")?];
            let [here, copied] = [cx.normal("g read", [67])?.add(read)?, cx.normal("g source", [67])?.add(source)?];
            graph.update(&[(read, here), (source, copied), (derived, copied.sigmoid()?)], &optimizer)?;
            Ok(vec![here.sigmoid()?])
        })
        .steps(3)
    });
    // Gradients that are nothing, hardly anything, or very large.
    let scales = [0.0, 1e-12, 1e12];
    let rules = [
        ("sgd", Optimizer::sgd(0.1).momentum(0.9)),
        ("adam", Optimizer::adam(0.01)),
        ("rmsprop", Optimizer::rmsprop(0.01)),
        ("adagrad", Optimizer::adagrad(0.01)),
        ("lion", Optimizer::lion(0.01)),
        ("sgd with a clipped norm", Optimizer::sgd(0.1).clip_norm(1.0)),
    ];
    let scaled = rules.into_iter().flat_map(move |(name, optimizer)| {
        scales.map(|scale| {
            let build = move |cx: &CaseBuilder<'_>| -> Result<()> {
                let parameter = cx.graph().parameter("p", [3, 23], Init::HeNormal)?;
                let gradient: Tensor<'_> = cx.normal("g", [3, 23])?.multiply(cx.graph().constant(scale, [3, 23])?)?;
                cx.graph().update(&[(parameter, gradient)], &optimizer)
            };
            OpCase::new(format!("optimizer {name}, gradients of {scale:e}"), move |cx| {
                build(cx)?;
                Ok(Vec::new())
            })
            .steps(3)
        })
    });
    shaped.chain(scaled).collect()
}
