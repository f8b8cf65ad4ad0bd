//! Functions of single elements as ONNX's operators, by the names of their rows.

use super::Exporting;
use crate::error::Result;

/// Adds the nodes of the function of this name, of the node's inputs and of these numbers behind them.
pub(crate) fn export(cx: &mut Exporting<'_, '_>, name: &str, numbers: &[f32]) -> Result<()> {
    cx.only_inference()?;
    let apart = broadcasts_apart(cx)?;
    cx.keeps_examples(apart)?;
    let inputs = cx.all_inputs()?;
    if let Some(operator) = plain(name) {
        let arguments = with_numbers(cx, &inputs, numbers)?;
        return cx.finish(operator, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    }
    if let Some((operator, negated)) = comparison(name) {
        return compare(cx, (operator, negated), &inputs, numbers);
    }
    let Some(x) = inputs.first().map(String::as_str) else { return Err(cx.refused("it has no input")) };
    match (name, numbers) {
        ("relu6", _) => clip(cx, x, [0.0, 6.0]),
        ("clip", &[low, high]) => clip(cx, x, [low, high]),
        ("leaky_relu", &[slope]) => cx.finish("LeakyRelu", &[x], &[("alpha", slope.into())]),
        // Its slopes are repeated, but not what it is of.
        ("prelu", &[]) if cx.inputs[0].shape == cx.outputs[0].shape => cx.finish("PRelu", &[x, &inputs[1]], &[]),
        ("prelu", &[slope]) => cx.finish("LeakyRelu", &[x], &[("alpha", slope.into())]),
        ("elu", &[_, alpha, _]) => cx.finish("Elu", &[x], &[("alpha", alpha.into())]),
        ("celu", &[_, alpha, _]) => cx.finish("Celu", &[x], &[("alpha", alpha.into())]),
        // ONNX's defaults are these numbers.
        ("selu", _) => cx.finish("Selu", &[x], &[]),
        ("hard_sigmoid", _) => hard_sigmoid(cx, x, true).map(drop),
        ("hard_swish", _) if cx.opset() >= 14 => cx.finish("HardSwish", &[x], &[]),
        ("hard_swish", _) => {
            let gate = hard_sigmoid(cx, x, false)?;
            cx.finish("Mul", &[x, &gate], &[])
        }
        ("silu", _) => {
            let gate = cx.between("Sigmoid", &[x], &[]);
            cx.finish("Mul", &[x, &gate], &[])
        }
        ("mish", _) if cx.opset() >= 18 => cx.finish("Mish", &[x], &[]),
        ("mish", _) => {
            let soft = cx.between("Softplus", &[x], &[]);
            let gate = cx.between("Tanh", &[&soft], &[]);
            cx.finish("Mul", &[x, &gate], &[])
        }
        ("log_sigmoid", _) => {
            let negative = cx.between("Neg", &[x], &[]);
            let soft = cx.between("Softplus", &[&negative], &[]);
            cx.finish("Neg", &[&soft], &[])
        }
        ("softplus", &[beta, threshold]) => softplus(cx, x, beta, threshold),
        ("gelu", _) if cx.opset() >= 20 => cx.finish("Gelu", &[x], &[]),
        ("gelu_tanh", _) if cx.opset() >= 20 => cx.finish("Gelu", &[x], &[("approximate", "tanh".into())]),
        ("gelu" | "gelu_tanh", _) => gelu(cx, x, name == "gelu"),
        ("square", _) => cx.finish("Mul", &[x, x], &[]),
        ("logical_not", _) => {
            let condition = cx.condition(x);
            let not = cx.between("Not", &[&condition], &[]);
            cx.finish_mask(&not)
        }
        ("select", _) => {
            let condition = cx.condition(x);
            let arguments = with_numbers(cx, &[&[condition], &inputs[1..]].concat(), numbers)?;
            cx.finish("Where", &arguments.iter().map(String::as_str).collect::<Vec<_>>(), &[])
        }
        _ => Err(cx.refused("ONNX has no such function")),
    }
}

/// Those that are one operator, of the same inputs in the same order, without attributes.
fn plain(name: &str) -> Option<&'static str> {
    Some(match name {
        "relu" => "Relu",
        "sigmoid" => "Sigmoid",
        "tanh" => "Tanh",
        "softsign" => "Softsign",
        "add" => "Add",
        "subtract" => "Sub",
        "multiply" => "Mul",
        "divide" => "Div",
        "minimum" => "Min",
        "maximum" => "Max",
        "pow" => "Pow",
        "neg" => "Neg",
        "abs" => "Abs",
        "sign" => "Sign",
        "floor" => "Floor",
        "ceil" => "Ceil",
        "round" => "Round",
        "sqrt" => "Sqrt",
        "reciprocal" => "Reciprocal",
        "exp" => "Exp",
        "log" => "Log",
        "erf" => "Erf",
        "sin" => "Sin",
        "cos" => "Cos",
        _ => return None,
    })
}

/// Those whose results are truth values in ONNX, and whether these are to be turned round.
fn comparison(name: &str) -> Option<(&'static str, bool)> {
    Some(match name {
        "equal" => ("Equal", false),
        "not_equal" => ("Equal", true),
        "less" => ("Less", false),
        "less_or_equal" => ("LessOrEqual", false),
        "greater" => ("Greater", false),
        "greater_or_equal" => ("GreaterOrEqual", false),
        "logical_and" => ("And", false),
        "logical_or" => ("Or", false),
        _ => return None,
    })
}

fn compare(
    cx: &mut Exporting<'_, '_>,
    (operator, negated): (&str, bool),
    inputs: &[String],
    numbers: &[f32],
) -> Result<()> {
    let mut arguments = with_numbers(cx, inputs, numbers)?;
    if matches!(operator, "And" | "Or") {
        arguments = arguments.iter().map(|mask| cx.condition(mask)).collect();
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let condition = cx.between(operator, &arguments, &[]);
    let condition = if negated { cx.between("Not", &[&condition], &[]) } else { condition };
    cx.finish_mask(&condition)
}

/// The inputs, then the numbers behind them.
fn with_numbers(cx: &mut Exporting<'_, '_>, inputs: &[String], numbers: &[f32]) -> Result<Vec<String>> {
    let mut arguments = inputs.to_vec();
    for &number in numbers {
        arguments.push(cx.number(number)?);
    }
    Ok(arguments)
}

/// Whether examples stay apart under NumPy's rules: those of axis 0 do, where nothing has values of its own for each.
fn broadcasts_apart(cx: &Exporting<'_, '_>) -> Result<bool> {
    let result = &cx.outputs[0].shape;
    for index in 0..cx.count() {
        let (held, shape) = (cx.held(index)?, &cx.inputs[index].shape);
        let whole = shape.len() == result.len();
        let own_values = !held.examples && whole && shape.first().is_some_and(|&extent| extent > 1);
        if (held.examples && !whole) || own_values {
            return Ok(false);
        }
    }
    Ok(true)
}

fn clip(cx: &mut Exporting<'_, '_>, x: &str, [low, high]: [f32; 2]) -> Result<()> {
    let (low, high) = (cx.number(low)?, cx.number(high)?);
    cx.finish("Clip", &[x, &low, &high], &[])
}

/// min(max(x/6 + 1/2, 0), 1): the result, or what another node goes on with.
fn hard_sigmoid(cx: &mut Exporting<'_, '_>, x: &str, last: bool) -> Result<String> {
    let attributes = [("alpha", (1.0_f32 / 6.0).into()), ("beta", 0.5_f32.into())];
    match last {
        true => cx.finish("HardSigmoid", &[x], &attributes).map(|()| String::new()),
        false => Ok(cx.between("HardSigmoid", &[x], &attributes)),
    }
}

/// ln(1 + exp(beta·x)) / beta. Beyond its threshold Omma's is x itself, which is to be the same number in single precision.
fn softplus(cx: &mut Exporting<'_, '_>, x: &str, beta: f32, threshold: f32) -> Result<()> {
    /// ln(1 + exp(t)) - t is below half a unit in the last place of t from here on.
    const SAME: f32 = 17.0;
    if threshold < SAME {
        return Err(cx.refused(format_args!("ONNX's Softplus has no threshold of {threshold}")));
    }
    if beta == 1.0 {
        return cx.finish("Softplus", &[x], &[]);
    }
    let beta = cx.number(beta)?;
    let scaled = cx.between("Mul", &[x, &beta], &[]);
    let soft = cx.between("Softplus", &[&scaled], &[]);
    cx.finish("Div", &[&soft, &beta], &[])
}

/// x · (1 + gate) / 2 with the error function, or the hyperbolic tangent that is near to it.
fn gelu(cx: &mut Exporting<'_, '_>, x: &str, exact: bool) -> Result<()> {
    let (half, one) = (cx.number(0.5)?, cx.number(1.0)?);
    let gate = if exact {
        let root = cx.number(std::f32::consts::FRAC_1_SQRT_2)?;
        let scaled = cx.between("Mul", &[x, &root], &[]);
        cx.between("Erf", &[&scaled], &[])
    } else {
        let (cubic, root) = (cx.number(0.044_715)?, cx.number((2.0 / std::f32::consts::PI).sqrt())?);
        let square = cx.between("Mul", &[x, x], &[]);
        let cube = cx.between("Mul", &[&square, x], &[]);
        let small = cx.between("Mul", &[&cube, &cubic], &[]);
        let sum = cx.between("Add", &[x, &small], &[]);
        let scaled = cx.between("Mul", &[&sum, &root], &[]);
        cx.between("Tanh", &[&scaled], &[])
    };
    let sum = cx.between("Add", &[&gate, &one], &[]);
    let weighted = cx.between("Mul", &[x, &sum], &[]);
    cx.finish("Mul", &[&weighted, &half], &[])
}
