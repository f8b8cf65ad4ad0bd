// The `count` largest or smallest elements of a view [outer, length, inner] along its middle axis, in order, and where they
// stand; and the gradient.
//   forward:    y[o, r, i] = x[o, place[o, r, i], i], where place[o, r, i] is number r of the order: a NaN before every
//               number, then the larger (or smaller) element, then the one that comes first.
//   grad_input: dx[o, a, i] = sum over r with place[o, r, i] = a of dy[o, r, i].
// forward goes over its candidates once for each result and takes the first in the order that comes after the last one
// taken. One invocation does that for a row (whole), or for every row `lanes` invocations for a share each (lanes) and
// one more for what they found (merge). grad_input: one invocation an element of dx. Forms:
//   along     inner is 1, length is a number of fours: four candidates at a time, or four elements of dx
//   across    inner is a number of fours: four rows side by side
//   elements  any; `merge` has no other
// Memory traffic: forward reads each candidate `count` times (caches hold a row); grad_input reads 8 bytes a result, once
// for every four in `along`, and writes 4 an element. No barriers.
// On two cores of a CPU (lavapipe, AVX2), the first 5 in 4096 rows of 1000, ms (omma bench ops --filter "top 5" --variants):
// by elements through a texture 22.4, by fours from a buffer 81, through a texture 9.5. Not timed on a GPU.
// Preconditions: 1 <= count <= length; count * (candidates + 1) <= 65,535 (lavapipe's limit of loop iterations).
// Needs common/grid.wgsl, common/divide.wgsl, common/nan.wgsl, common/texture.wgsl, common/read.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    outer: u32,
    /// Of `along`, in fours.
    length: u32,
    /// Of `across`, in fours.
    inner: u32,
    count: u32,
    lanes: u32,
}

{% set along = form == "along" %}
{% set across = form == "across" %}
{% set element = "f32" if form == "elements" else "vec4<f32>" %}
{% set word = "u32" if form == "elements" else "vec4<u32>" %}
{% set of_row = "vec4<f32>" if across else "f32" %}
{% set place_of_row = "vec4<u32>" if across else "u32" %}
@group(0) @binding(0) var<uniform> params: Params;

{% if entry == "forward" %}
{{ both("x", 1, form == "elements", texture) }}
{% if stage == "lanes" %}
/// [outer, lanes, count, inner], NONE where a lane has no more.
@group(0) @binding(2) var<storage, read_write> found: array<{{ place_of_row }}>;
{% elif stage == "merge" %}
@group(0) @binding(2) var<storage, read> found: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> place: array<u32>;
{% else %}
@group(0) @binding(2) var<storage, read_write> y: array<{{ of_row }}>;
@group(0) @binding(3) var<storage, read_write> place: array<{{ place_of_row }}>;
{% endif %}

const NONE: u32 = 0xffffffffu;

/// A number that is the larger the sooner an element comes in the order, equal for equal ones, and never 0.
fn rank_of(value: {{ element }}) -> {{ word }} {
    // By its bits: compilers may ignore the sign of a zero.
    let raw = bitcast<{{ word }}>(value);
    let bits = select(raw, {{ word }}(), (raw << {{ word }}(1u)) == {{ word }}());
    let negative = (bits & {{ word }}(0x80000000u)) != {{ word }}();
    let rank = select({{ "bits | " ~ word ~ "(0x80000000u), ~bits" if largest else "~bits & " ~ word ~ "(0x7fffffffu), bits" }}, negative);
    return select(rank, {{ word }}(0xffffffffu), {{ "is_nan" if form == "elements" else "are_nan" }}(value));
}

/// What a row has at a place, or each of four rows.
fn value_at(start: u32, place: {{ place_of_row }}) -> {{ of_row }} {
{% if along %}
    return x_element(4u * start + place);
{% elif across %}
    let at = start + place * params.inner;
    return vec4(x_at(at.x).x, x_at(at.y).y, x_at(at.z).z, x_at(at.w).w);
{% else %}
    return x_element(start + place * params.inner);
{% endif %}
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
    // The text hides that the bounds are uniforms, since lavapipe could compile loops anew for them.
    let length = min(candidates, {{ "arrayLength(&found)" if stage == "merge" else "4u * texels(textureDimensions(x))" if texture else "arrayLength(&x)" }});
    let count = min(params.count, arrayLength(&{{ "found" if stage == "lanes" else "place" }}));
    if outer >= params.outer {
        return;
    }
    let start = outer * params.length * params.inner + row.y;
    // What was taken last: nothing that comes before everything.
    var last_rank = {{ place_of_row }}(0xffffffffu);
    var last_place = {{ place_of_row }}(NONE);
    for (var taken = 0u; taken < count; taken += 1u) {
        var best_rank = {{ word }}();
        var best_place = {{ word }}(NONE);
        for (var n = 0u; n < length; n += 1u) {
{% if stage == "lanes" %}
            let four = first + n * step;
{% elif stage == "merge" %}
            let four = found[(outer * candidates + n) * params.inner + row.y];
            if four == NONE { continue; }
{% else %}
            let four = n;
{% endif %}
            let candidate = {{ word }}({{ "4u * four + vec4(0u, 1u, 2u, 3u)" if along else "four" }});
            let rank = rank_of({{ "x_element" if form == "elements" else "x_at" }}(start + four * params.inner));
            // Candidates come in the order of their places, but those that were found in shares.
            let later = candidate + 1u > {{ word }}(last_place + 1u);
            let fresh = (rank < {{ word }}(last_rank)) | ((rank == {{ word }}(last_rank)) & later);
            let better = fresh & ((rank > best_rank){{ " | ((rank == best_rank) & (candidate < best_place))" if stage == "merge" }});
            best_rank = select(best_rank, rank, better);
            best_place = select(best_place, candidate, better);
        }
{% if along %}
        // The best of the four columns.
        last_rank = max(max(best_rank.x, best_rank.y), max(best_rank.z, best_rank.w));
        let places = select(vec4(NONE), best_place, best_rank == vec4(last_rank));
        last_place = min(min(places.x, places.y), min(places.z, places.w));
{% else %}
        last_rank = best_rank;
        last_place = best_place;
{% endif %}
{% if stage == "lanes" %}
        found[((outer * params.lanes + first) * params.count + taken) * params.inner + row.y] = last_place;
        // A lane that has no more finds nothing again: no rank is below that of nothing.
{% else %}
        let result = (outer * params.count + taken) * params.inner + row.y;
        y[result] = value_at(start, last_place);
        place[result] = last_place;
{% endif %}
    }
}
{% else %}
@group(0) @binding(1) var<storage, read> place: array<{{ place_of_row }}>;
@group(0) @binding(2) var<storage, read> dy: array<{{ of_row }}>;
@group(0) @binding(3) var<storage, read_write> dx: array<{{ element }}>;

@compute @workgroup_size(WORKGROUP)
fn grad_input(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    let row = div_rem(index, params.inner);
    let element = div_rem(row.x, params.length);
    if element.x >= params.outer {
        return;
    }
    let own = {{ word }}({{ "4u * element.y + vec4(0u, 1u, 2u, 3u)" if along else "element.y" }});
    var sum = {{ element }}();
    let count = min(params.count, arrayLength(&place));
    for (var taken = 0u; taken < count; taken += 1u) {
        let result = (element.x * params.count + taken) * params.inner + row.y;
        sum += select({{ element }}(), {{ element }}(dy[result]), {{ word }}(place[result]) == own);
    }
    dx[index] = sum;
}
{% endif %}
