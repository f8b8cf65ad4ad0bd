// Elements of an axis by numbers that are data, for x [outer, extent, inner].
//   forward: y[o, j, r] = x[o, index j, r]; an index beyond the extent gives NaN.
//   along:   y[o, j, r] = x[o, index (o, j, r), r], with an index for each element.
//   one_hot: y[j, d] = 1 where d is index j, else 0: x is not there, and extent is the depth.
// The gradient of the first has a list for every k of the places j whose index is k. The lists of short slices of the places
// are found by looking around, and then made one:
//   clear:   no list has a place.
//   link:    the invocation of place j looks for the next place of its slice with its index. Where there is none it has found
//            the list's last, and where there is none before it the first; so no two write one number, and every list is in
//            order.
//   join:    the invocation of k puts the lists of a part's slices behind one another, the first where its first slice had it.
//   grad:    dx[o, k, r] += sum of dy[o, j, r] over the list of k, part by part; the first part has no sum before it.
// The gradient of the second, grad_along: dx[o, k, r] = sum of dy[o, j, r] over the j whose index there is k.
// One invocation computes one element of the result or, in the form `fours`, where inner is a number of them, a four: inner
// is then given in fours. `gathered` (forward alone) computes four elements that lie next to each other in y.
// Memory traffic: forward 8 bytes an element, grad 4 for each of dy and dx, link up to a slice of numbers a place, join
// two for each slice of a part and k. No barriers. Not timed on a GPU. Preconditions: count < 2^30.
// `omma bench ops --filter gather --variants` on two cores of a CPU (lavapipe, AVX2), 12,544 rows out of 1000 of 256: 43.1 ms by
// elements, 27.7 by four of them, 13.2 in fours, 16.1 in those from a buffer. On another such CPU
// the gradient took 208 to 228 ms while a place looked for the next one in all of them, and 14 to 25 in slices.
// Needs common/grid.wgsl, common/divide.wgsl, common/nan.wgsl, common/texture.wgsl, common/read.wgsl, common/values.wgsl.

override WORKGROUP: u32 = 64u;

const NONE = 0xffffffffu;

struct Params {
    count: u32,
    inner: u32,
    /// For join the slices of them.
    places: u32,
    extent: u32,
    /// Places of a slice (link), slices of a part (join), or the first slice of the part (grad).
    slice: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
{% set value = "vec4<f32>" if form == "fours" else "f32" %}
{% set read = "x_at" if form == "fours" else "x_element" %}
{% if entry in ["clear", "link", "join", "one_hot"] %}
{% elif form == "fours" %}
{{ fours("x", 1, texture) }}
{% else %}
{{ scalars("x", 1, texture) }}
{% endif %}

{% if entry in ["forward", "along"] %}
@group(0) @binding(2) var<storage, read> indices: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<{{ "f32" if form == "elements" else "vec4<f32>" }}>;

fn value_of(element: u32) -> {{ value }} {
    let across = div_rem(element, params.inner);
    let place = div_rem(across.x, params.places);
    let index = indices[{{ "place.y" if entry == "forward" else "element" }}];
    let value = {{ read }}((place.x * params.extent + min(index, params.extent - 1u)) * params.inner + across.y);
    return select({{ value }}(not_a_number()), value, index < params.extent);
}

{{ each_value(entry, form) }}
{% elif entry == "clear" %}
@group(0) @binding(1) var<storage, read_write> heads: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn clear(at: Invocation) {
    let list = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if list < params.count {
        heads[list] = NONE;
    }
}
{% elif entry == "link" %}
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read_write> heads: array<u32>;
@group(0) @binding(3) var<storage, read_write> nexts: array<u32>;
@group(0) @binding(4) var<storage, read_write> lasts: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn link(at: Invocation) {
    let place = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if place >= params.count {
        return;
    }
    let index = indices[place];
    let slice = place / params.slice;
    let begin = slice * params.slice;
    let end = min(begin + params.slice, params.count);
    var next = place + 1u;
    while next < end && indices[next] != index {
        next++;
    }
    nexts[place] = select(NONE, next, next < end);
    if next == end && index < params.extent {
        lasts[slice * params.extent + index] = place;
    }
    // One behind the place before it.
    var before = place;
    while before > begin && indices[before - 1u] != index {
        before--;
    }
    if before == begin && index < params.extent {
        heads[slice * params.extent + index] = place;
    }
}
{% elif entry == "join" %}
@group(0) @binding(1) var<storage, read> lasts: array<u32>;
@group(0) @binding(2) var<storage, read_write> heads: array<u32>;
@group(0) @binding(3) var<storage, read_write> nexts: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn join(at: Invocation) {
    let list = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if list >= params.count {
        return;
    }
    let part = div_rem(list, params.extent);
    let begin = part.x * params.slice * params.extent + part.y;
    // Of the last part there may be fewer.
    let end = min((part.x + 1u) * params.slice, params.places) * params.extent;
    var last = NONE;
    for (var slot = begin; slot < end; slot += params.extent) {
        let head = heads[slot];
        if head != NONE {
            if last == NONE {
                heads[begin] = head;
            } else {
                nexts[last] = head;
            }
            last = lasts[slot];
        }
    }
}
{% elif entry == "grad" %}
@group(0) @binding(2) var<storage, read> heads: array<u32>;
@group(0) @binding(3) var<storage, read> nexts: array<u32>;
@group(0) @binding(4) var<storage, read_write> dx: array<{{ value }}>;

@compute @workgroup_size(WORKGROUP)
fn grad(at: Invocation) {
    let element = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if element >= params.count {
        return;
    }
    let across = div_rem(element, params.inner);
    let row = div_rem(across.x, params.extent);
    var sum = {{ "dx[element]" if adds else value ~ "()" }};
    var place = heads[params.slice * params.extent + row.y];
    while place != NONE {
        sum += {{ read }}((row.x * params.places + place) * params.inner + across.y);
        place = nexts[place];
    }
    dx[element] = sum;
}
{% elif entry == "grad_along" %}
@group(0) @binding(2) var<storage, read> indices: array<u32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn grad_along(at: Invocation) {
    let element = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if element >= params.count {
        return;
    }
    let across = div_rem(element, params.inner);
    let row = div_rem(across.x, params.extent);
    var sum = 0.0;
    var from_here = row.x * params.places * params.inner + across.y;
    for (var place = 0u; place < params.places; place++) {
        sum += select(0.0, x_element(from_here), indices[from_here] == row.y);
        from_here += params.inner;
    }
    dx[element] = sum;
}
{% else %}
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn one_hot(at: Invocation) {
    let element = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if element >= params.count {
        return;
    }
    let place = div_rem(element, params.extent);
    y[element] = select(0.0, 1.0, indices[place.x] == place.y);
}
{% endif %}
