// The `count` largest or smallest elements of a view [outer, length, inner] along its middle axis, in order, and where they
// stand; and the gradient.
//   forward:    y[o, r, i] = x[o, place[o, r, i], i], where place[o, r, i] is number r of the order: a NaN before every
//               number, then the larger (or smaller) element, then the one that comes first.
//   grad_input: dx[o, a, i] = sum over r with place[o, r, i] = a of dy[o, r, i].
// forward goes over its candidates once for each result and takes the first in the order that comes after the last one
// taken. One invocation does that for a row (whole), or for every row `lanes` invocations for a share each (lanes) and
// one more for what they found (merge). grad_input: one invocation an element of dx.
// Memory traffic: forward reads each candidate `count` times (caches hold a row); grad_input reads 8 bytes a result and
// writes 4 an element. No barriers.
// Preconditions: 1 <= count <= length; count * (candidates + 1) <= 65,535 (lavapipe's limit of loop iterations).
// Needs common/grid.wgsl, common/divide.wgsl, common/nan.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    outer: u32,
    length: u32,
    inner: u32,
    count: u32,
    lanes: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

{% if entry == "forward" %}
@group(0) @binding(1) var<storage, read> x: array<f32>;
{% if stage == "lanes" %}
/// [outer, lanes, count, inner], NONE where a lane has no more.
@group(0) @binding(2) var<storage, read_write> found: array<u32>;
{% elif stage == "merge" %}
@group(0) @binding(2) var<storage, read> found: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> place: array<u32>;
{% else %}
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> place: array<u32>;
{% endif %}

const NONE: u32 = 0xffffffffu;

struct Candidate {
    value: f32,
    place: u32,
}

/// Whether a comes before b.
fn precedes(a: Candidate, b: Candidate) -> bool {
    let a_is_nan = is_nan(a.value);
    let b_is_nan = is_nan(b.value);
    if a_is_nan || b_is_nan {
        return a_is_nan && (!b_is_nan || a.place < b.place);
    }
    return a.value {{ ">" if largest else "<" }} b.value || (a.value == b.value && a.place < b.place);
}

@compute @workgroup_size(WORKGROUP)
fn forward(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    let row = div_rem(index, params.inner);
{% if stage == "lanes" %}
    // Neighbours have neighbouring elements: first the column, then the lane.
    let share = div_rem(row.x, params.lanes);
    let outer = share.x;
    let first = share.y;
    let step = params.lanes;
    let candidates = div_rem(params.length - first + step - 1u, step).x;
{% else %}
    let outer = row.x;
    let candidates = {{ "params.lanes * params.count" if stage == "merge" else "params.length" }};
{% endif %}
    if outer >= params.outer {
        return;
    }
    let start = outer * params.length * params.inner + row.y;
    var last = Candidate(0.0, NONE);
    for (var taken = 0u; taken < params.count; taken += 1u) {
        var best = Candidate(0.0, NONE);
        for (var n = 0u; n < candidates; n += 1u) {
{% if stage == "lanes" %}
            let at_place = first + n * step;
{% elif stage == "merge" %}
            let at_place = found[(outer * candidates + n) * params.inner + row.y];
            if at_place == NONE { continue; }
{% else %}
            let at_place = n;
{% endif %}
            let candidate = Candidate(x[start + at_place * params.inner], at_place);
            let fresh = taken == 0u || precedes(last, candidate);
            if fresh && (best.place == NONE || precedes(candidate, best)) {
                best = candidate;
            }
        }
{% if stage == "lanes" %}
        found[((outer * params.lanes + first) * params.count + taken) * params.inner + row.y] = best.place;
        if best.place == NONE {
            // The lane has no more: later rounds would begin anew.
            for (var rest = taken + 1u; rest < params.count; rest += 1u) {
                found[((outer * params.lanes + first) * params.count + rest) * params.inner + row.y] = NONE;
            }
            return;
        }
{% else %}
        let result = (outer * params.count + taken) * params.inner + row.y;
        y[result] = best.value;
        place[result] = best.place;
{% endif %}
        last = best;
    }
}
{% else %}
@group(0) @binding(1) var<storage, read> place: array<u32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn grad_input(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    let row = div_rem(index, params.inner);
    let element = div_rem(row.x, params.length);
    if element.x >= params.outer {
        return;
    }
    var sum = 0.0;
    for (var taken = 0u; taken < params.count; taken += 1u) {
        let result = (element.x * params.count + taken) * params.inner + row.y;
        sum += select(0.0, dy[result], place[result] == element.y);
    }
    dx[index] = sum;
}
{% endif %}
