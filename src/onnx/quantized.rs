//! What quantisation heeds, whether it is done on the host or in the graph: q = saturate(round(x / scale) + zero point).

use super::ElementType;
use super::node::Node;
use crate::error::Result;

/// The least and the greatest integer of a type that floats are quantised to.
pub(super) fn bounds(node: &Node, element: ElementType) -> Result<[f32; 2]> {
    let range = element.quantised_range().map(|range| range.map(|bound| bound as f32));
    range.ok_or_else(|| node.unsupported(format_args!("quantisation to {element}")))
}

/// The type that QuantizeLinear gives: that of the zero point, which has to be the one that is asked for.
pub(super) fn target(node: &Node, zero: Option<ElementType>) -> Result<ElementType> {
    match (zero, node.element("output_dtype")?) {
        (Some(zero), Some(asked)) if zero != asked => {
            Err(node.wrong(format_args!("attribute `output_dtype`: {asked} with a zero point of {zero}")))
        }
        (zero, asked) => Ok(zero.or(asked).unwrap_or(ElementType::U8)),
    }
}

/// The type in which QuantizeLinear divides: what is asked for, or that of the scale. Before operator set 23, which says
/// so, it is at least single precision.
pub(super) fn precision(node: &Node, scale: ElementType) -> Result<ElementType> {
    let ty = node.element("precision")?.unwrap_or(match scale {
        ElementType::F64 => scale,
        _ if node.opset >= 23 => scale,
        _ => ElementType::F32,
    });
    match ty.is_float() {
        true => Ok(ty),
        false => Err(node.wrong(format_args!("a division in {ty}"))),
    }
}

/// The type that DequantizeLinear gives: that of the scale, or what is asked for.
pub(super) fn source(node: &Node, scale: ElementType) -> Result<ElementType> {
    let ty = node.element("output_dtype")?.unwrap_or(scale);
    match ty.is_float() {
        true => Ok(ty),
        false => Err(node.wrong(format_args!("bytes by a scale become {ty}"))),
    }
}

/// How many elements of the axis a scale is for: `None` where there is one for each index, or one for all.
pub(super) fn block(node: &Node) -> Result<Option<usize>> {
    match node.int("block_size")?.unwrap_or(0) {
        0 => Ok(None),
        size => {
            let size = usize::try_from(size);
            size.map(Some).map_err(|_| node.wrong("attribute `block_size`: expected a natural number"))
        }
    }
}
