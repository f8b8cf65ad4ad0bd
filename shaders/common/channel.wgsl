// Lanes over one channel of a view [outer, channels, inner].
//
// The outer * inner elements of a channel are dealt to `lanes` invocations like cards: lane l takes the elements
// l, l + lanes, l + 2 lanes, ... so that neighbouring lanes read neighbouring addresses. Walking to the next element
// needs no division: the cursor carries its column within the row of `inner` elements.
// Needs common/divide.wgsl.

struct ChannelView {
    outer: u32,
    channels: u32,
    inner: u32,
    lanes: u32,
}

/// One element: its address in the tensor and its column in the row (also used for the difference of two of them).
struct Cursor {
    address: u32,
    column: u32,
}

struct Lane {
    channel: u32,
    /// channel * lanes + the lane's number: where its partial result goes.
    slot: u32,
    /// How many elements it has.
    length: u32,
    first: Cursor,
    /// The way from one element to the next, before rows are wrapped.
    step: Cursor,
}

/// The channel (x) and the lane's number (y) of an invocation. Lanes are fastest, since a channel's rows are
/// contiguous; where a row is a single element, neighbouring channels are the contiguous ones, and they are fastest.
fn channel_and_lane(view: ChannelView, invocation: u32) -> vec2<u32> {
    if view.inner == 1u {
        return div_rem(invocation, view.channels).yx;
    }
    return div_rem(invocation, view.lanes);
}

fn lane_of(view: ChannelView, invocation: u32) -> Lane {
    let at = channel_and_lane(view, invocation);
    let start = div_rem(at.y, view.inner);
    let first = Cursor((start.x * view.channels + at.x) * view.inner + start.y, start.y);
    let step = div_rem(view.lanes, view.inner);
    return Lane(
        at.x,
        at.x * view.lanes + at.y,
        lane_length(view, at.y),
        first,
        Cursor(step.x * view.channels * view.inner + step.y, step.y),
    );
}

/// How many elements the lane of a number has.
fn lane_length(view: ChannelView, number: u32) -> u32 {
    return div_rem(view.outer * view.inner - number + view.lanes - 1u, view.lanes).x;
}

fn next_element(view: ChannelView, cursor: Cursor, step: Cursor) -> Cursor {
    let address = cursor.address + step.address;
    let column = cursor.column + step.column;
    if column >= view.inner {
        return Cursor(address + (view.channels - 1u) * view.inner, column - view.inner);
    }
    return Cursor(address, column);
}
