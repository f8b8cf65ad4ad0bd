// A square tile of a matrix product by one workgroup. Its side x side invocations have blocks x blocks times 4x4 results
// each, a tile's side / blocks apart. The operands come through workgroup memory in slabs along the summed axis, of which
// an invocation brings four elements each. Needs common/conv2d.wgsl for `tiles`, common/functions.wgsl, common/chain.wgsl.
//
// With `half` the operands are f16, two in a word, and are widened as they are fetched: what is added up, and the results,
// are f32 all the same. That needs no feature of the device, but one of its downlevel flags (SHADER_F16_IN_F32).
//
// With `statistics` a workgroup also leaves the mean and the sum of squared deviations of each row of what it stores: a batch
// normalisation that follows then need not read the results once more, which saves it 4 bytes an element of traffic for
// 8 bytes a row of a tile (batch_norm_tiles.wgsl joins them). Not timed on a GPU.
//
// The text is a template: no compiler in the chain unrolls these loops, and some count their turns.

{% set slab = side // blocks %}
{% set pitch = side * blocks + (2 if cooperative else 1) %}
{#- naga wants a workgroup that knows of its subgroups to be a line. #}
{% set workgroup = "SIDE * SIDE" if cooperative else "SIDE, SIDE" %}
{% set local_at = "vec2(local.x % SIDE, local.x / SIDE)" if cooperative else "local.xy" %}
const SIDE = {{ side }}u;
const TILE = {{ 4 * side * blocks }}u;
const SLAB = {{ slab }}u;
// In vec4: those of a tile and more, so that a column of the slab does not fall into one memory bank; for cooperative
// matrices rows begin at multiples of 16 bytes.
const PITCH = {{ pitch }}u;
const FOUR = vec4<u32>(0u, 1u, 2u, 3u);

{% if not cooperative %}
var<workgroup> left: array<vec4<f32>, {{ slab * pitch }}>;
var<workgroup> right: array<vec4<f32>, {{ slab * pitch }}>;
{% endif %}

{% macro operand(name, binding) %}
{% if half %}
@group(0) @binding({{ binding }}) var<storage, read> {{ name }}: array<u32>;
fn {{ name }}_element(index: u32) -> f32 {
    let pair = unpack2x16float({{ name }}[index >> 1u]);
    return select(pair.x, pair.y, (index & 1u) != 0u);
}
// Of elements, padding included.
fn {{ name }}_length() -> u32 { return 2u * arrayLength(&{{ name }}); }
{% else %}
@group(0) @binding({{ binding }}) var<storage, read> {{ name }}: array<f32>;
fn {{ name }}_element(index: u32) -> f32 { return {{ name }}[index]; }
fn {{ name }}_length() -> u32 { return arrayLength(&{{ name }}); }
{% endif %}
fn {{ name }}_at(at: vec4<u32>, seen: vec4<bool>) -> vec4<f32> {
    let i = select(vec4<u32>(), at, seen);
    let four = vec4({{ name }}_element(i.x), {{ name }}_element(i.y), {{ name }}_element(i.z), {{ name }}_element(i.w));
    return select(vec4<f32>(), four, seen);
}
{% endmacro %}
// x or dy; the weight, or dy where its gradient is computed.
{{ operand("image", 1) }}
{{ operand("factor", 2) }}
@group(0) @binding(3) var<storage, read_write> result: array<f32>;
{% for operand in operands %}
@group(0) @binding({{ loop.index0 + 4 }}) var<storage, read> values{{ loop.index0 }}: array<f32>;
{% endfor %}

// Where the results of four columns go in the plane of channel 0, and which of them are there.
struct Target {
    into: vec4<u32>,
    inside: vec4<bool>,
}

// Stores what follows from the sums, and gives it.
fn store(place: Target, channel: u32, plane: u32, sums: vec4<f32>) -> vec4<f32> {
    let into = select(vec4<u32>(), place.into + channel * plane, place.inside);
{% for operand in operands %}
{% set name = "values" ~ loop.index0 %}
{% if statistics %}
/// [channels, tiles across] of (mean, sum of squared deviations).
@group(0) @binding({{ operands | length + 4 }}) var<storage, read_write> moments: array<vec2<f32>>;
{% endif %}
{% if operand.channel %}
    return value;
    let operand{{ loop.index0 }} = vec4({{ name }}[channel]);
{% else %}
    let operand{{ loop.index0 }} = vec4({{ name }}[into.x], {{ name }}[into.y], {{ name }}[into.z], {{ name }}[into.w]);
{% endif %}
{% endfor %}
    let value = chain(sums{% for operand in operands %}, operand{{ loop.index0 }}{% endfor %});
    if place.inside.x { result[into.x] = value.x; }
    if place.inside.y { result[into.y] = value.y; }
    if place.inside.z { result[into.z] = value.z; }
    if place.inside.w { result[into.w] = value.w; }
}

// What a workgroup computes: the corner of its tile, its group, and what is left of its index.
struct Block {
    row: u32,
    column: u32,
    group: u32,
    rest: u32,
}

fn block_at(index: u32, rows: u32, columns: u32, groups: u32) -> Block {
    let across = tiles(columns, TILE);
    let down = tiles(rows, TILE);
    let group = index / across / down;
    return Block(index / across % down * TILE, index % across * TILE, group % groups, group / groups);
}

// What an invocation brings: four rows of the left operand, four columns of the right one, at places of their own in a slab.
struct Share {
    rows: vec4<u32>,
    columns: vec4<u32>,
    left_k: u32,
    right_k: u32,
    left_at: u32,
    right_at: u32,
}

fn share_of(lane: u32, block: Block) -> Share {
    // Neighbours bring neighbouring terms of the left operand and neighbouring columns of the right one.
    let left_k = lane % SLAB;
    let left_four = lane / SLAB;
    let right_k = lane / (TILE / 4u);
    let right_four = lane % (TILE / 4u);
    return Share(
        block.row + 4u * left_four + FOUR,
        block.column + 4u * right_four + FOUR,
        left_k,
        right_k,
        left_k * PITCH + left_four,
        right_k * PITCH + right_four,
    );
}

// A slice of a sum, in whole slabs: from where to where.
fn slice_of(number: u32, slices: u32, length: u32) -> vec2<u32> {
    let longest = tiles(tiles(length, SLAB), slices) * SLAB;
    return vec2(min(number * longest, length), min((number + 1u) * longest, length));
}
{#- The sums of one invocation, sum0_0_0 and so on (block down, block across, row): `bring`_left(view, k) and
    `bring`_right(view, k) give four elements of either operand, zero from `slice.y` on. The slab after next is on its way
    while one is multiplied. Barriers in uniform control flow, if `slice` is uniform. #}
{% macro multiply(bring) %}
{% for i in range(blocks) %}
{% for j in range(blocks) %}
{% for r in range(4) %}
    var sum{{ i }}_{{ j }}_{{ r }} = vec4<f32>();
{% endfor %}
{% endfor %}
{% endfor %}
    var next_left = {{ bring }}_left(view, slice.x + share.left_k);
    var next_right = {{ bring }}_right(view, slice.x + share.right_k);
    for (var start = slice.x; start < slice.y; start += SLAB) {
        workgroupBarrier();
        left[share.left_at] = next_left;
        right[share.right_at] = next_right;
        workgroupBarrier();
        next_left = {{ bring }}_left(view, start + SLAB + share.left_k);
        next_right = {{ bring }}_right(view, start + SLAB + share.right_k);
{% for k in range(slab) %}
{% for i in range(blocks) %}
        let l{{ k }}_{{ i }} = left[{{ k * pitch + i * side }}u + at.y];
        let r{{ k }}_{{ i }} = right[{{ k * pitch + i * side }}u + at.x];
{% endfor %}
{% for i in range(blocks) %}
{% for j in range(blocks) %}
{% for r in range(4) %}
        sum{{ i }}_{{ j }}_{{ r }} = fma(vec4(l{{ k }}_{{ i }}.{{ "xyzw"[r] }}), r{{ k }}_{{ j }}, sum{{ i }}_{{ j }}_{{ r }});
{% endfor %}
{% endfor %}
{% endfor %}
{% endfor %}
    }
{% endmacro %}
{#- Stores the sums: `place` gives the Target of four columns; rows of the group are `plane` apart from `origin` on. #}
{% macro store_all(place, rows, first_channel, plane) %}
{% for j in range(blocks) %}
    let target{{ j }} = {{ place }}(view, block.column + 4u * at.x + {{ 4 * j * side }}u + FOUR);
{% for i in range(blocks) %}
{% for r in range(4) %}
    let row{{ i }}_{{ j }}_{{ r }} = block.row + 4u * at.y + {{ 4 * i * side + r }}u;
    if row{{ i }}_{{ j }}_{{ r }} < {{ rows }} {
        {{ "sum" ~ i ~ "_" ~ j ~ "_" ~ r ~ " = " if statistics }}store(target{{ j }}, {{ first_channel }} + row{{ i }}_{{ j }}_{{ r }}, {{ plane }}, sum{{ i }}_{{ j }}_{{ r }});
    }
{% endfor %}
{% endfor %}
{% endfor %}
{% endmacro %}
{#- Leaves the statistics of the rows that `store_all` has stored, of `columns` columns in all: an invocation those of its own
    columns, which the first of a row joins in their order (Chan, Golub and LeVeque 1979). All are of the differences from
    the row's first result: a mean that is large against the deviation costs no accuracy. Barriers in uniform control flow. #}
{% macro leave_moments(rows, first_channel, columns) %}
{% for j in range(blocks) %}
    let seen{{ j }} = select(vec4<f32>(), vec4(1.0), target{{ j }}.inside);
{% endfor %}
    let seen = {% for j in range(blocks) %}dot(seen{{ j }}, vec4(1.0)){{ " + " if not loop.last }}{% endfor %};
{% for i in range(blocks) %}
    workgroupBarrier();
    if at.x == 0u {
        left[at.y] = vec4({% for r in range(4) %}sum{{ i }}_0_{{ r }}.x{{ ", " if not loop.last }}{% endfor %});
    }
    workgroupBarrier();
    let pivots{{ i }} = left[at.y];
    var average{{ i }} = vec4<f32>();
    var squares{{ i }} = vec4<f32>();
{% for r in range(4) %}
{% set c = "xyzw"[r] %}
{% for j in range(blocks) %}
    var off{{ i }}_{{ j }}_{{ r }} = select(vec4<f32>(), sum{{ i }}_{{ j }}_{{ r }} - pivots{{ i }}.{{ c }}, target{{ j }}.inside);
{% endfor %}
    average{{ i }}.{{ c }} = ({% for j in range(blocks) %}dot(off{{ i }}_{{ j }}_{{ r }}, vec4(1.0)){{ " + " if not loop.last }}{% endfor %}) / max(seen, 1.0);
{% for j in range(blocks) %}
    off{{ i }}_{{ j }}_{{ r }} = (off{{ i }}_{{ j }}_{{ r }} - average{{ i }}.{{ c }}) * seen{{ j }};
    squares{{ i }}.{{ c }} += dot(off{{ i }}_{{ j }}_{{ r }}, off{{ i }}_{{ j }}_{{ r }});
{% endfor %}
{% endfor %}
    workgroupBarrier();
    left[at.y * SIDE + at.x] = average{{ i }};
    right[at.y * SIDE + at.x] = squares{{ i }};
    workgroupBarrier();
    if at.x == 0u {
        var count = seen;
        for (var x = 1u; x < SIDE; x += 1u) {
            var length = 0u;
{% for j in range(blocks) %}
            length += min(max({{ columns }}, block.column + 4u * x + {{ 4 * j * side }}u) - (block.column + 4u * x + {{ 4 * j * side }}u), 4u);
{% endfor %}
            let added = f32(length);
            let share = added / (count + added);
            let deviation = left[at.y * SIDE + x] - average{{ i }};
            average{{ i }} += deviation * share;
            squares{{ i }} += right[at.y * SIDE + x] + deviation * deviation * (count * share);
            count += added;
        }
        let first_row{{ i }} = block.row + 4u * at.y + {{ 4 * i * side }}u;
        let across = tiles({{ columns }}, TILE);
        let into{{ i }} = ({{ first_channel }} + first_row{{ i }}) * across + block.column / TILE;
{% for r in range(4) %}
        if first_row{{ i }} + {{ r }}u < {{ rows }} {
            moments[into{{ i }} + {{ r }}u * across] = vec2(pivots{{ i }}.{{ "xyzw"[r] }} + average{{ i }}.{{ "xyzw"[r] }}, squares{{ i }}.{{ "xyzw"[r] }});
        }
{% endfor %}
    }
{% endfor %}
{% endmacro %}
