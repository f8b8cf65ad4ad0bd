// A square tile of a matrix product by one workgroup. Its side x side invocations have blocks x blocks times 4x4 results
// each, a tile's side / blocks apart. The operands come through workgroup memory in slabs along the summed axis, of which
// an invocation brings four elements each. Needs common/conv2d.wgsl for `tiles`, common/functions.wgsl, common/chain.wgsl.
//
// With `half` the operands are f16, two in a word, and are widened as they are fetched: what is added up, and the results,
// are f32 all the same. That needs no feature of the device, but one of its downlevel flags (SHADER_F16_IN_F32).
//
// With `image_fours` the image is read, and with `result_fours` results are written, in fours of columns, 16 bytes each. `left`
// and `right` say what of an operand lies together in memory: its terms, or its rows or columns.
//
// The text is a template: no compiler in the chain unrolls these loops, and some count their turns.

{% set slab = side // blocks %}
{% set pitch = side * blocks + (2 if cooperative else 1) %}
{#- naga wants a workgroup that knows of its subgroups to be a line. #}
{% set workgroup = "SIDE * SIDE" if cooperative else "SIDE, SIDE" %}
{#- What an entry point is told. #}
{% set arguments %}
@builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
{% if cooperative %}
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) lane: u32,
{% endif %}
{% endset %}
{% set local_at = "vec2(local.x % SIDE, local.x / SIDE)" if cooperative else "local.xy" %}
const SIDE = {{ side }}u;
const TILE = {{ 4 * side * blocks }}u;
const SLAB = {{ slab }}u;
// In vec4: those of a tile and more, so that a column of the slab does not fall into one memory bank; for cooperative
// matrices rows begin at multiples of 16 bytes.
const PITCH = {{ pitch }}u;
const FOUR = vec4<u32>(0u, 1u, 2u, 3u);

{% if not cooperative %}
var<workgroup> left: array<vec4<f32>, {{ left_fours | default(slab * pitch) }}>;
var<workgroup> right: array<vec4<f32>, {{ right_fours | default(slab * pitch) }}>;
{% endif %}

{% macro operand(name, binding, fours) %}
{% if fours %}
@group(0) @binding({{ binding }}) var<storage, read> {{ name }}: array<{{ "vec2<u32>" if half else "vec4<f32>" }}>;
fn {{ name }}_four(index: u32, seen: bool) -> vec4<f32> {
    let four = {{ name }}[select(0u, index, seen)];
    return select(vec4<f32>(), {{ "vec4(unpack2x16float(four.x), unpack2x16float(four.y))" if half else "four" }}, seen);
}
{% else %}
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
{% endif %}
{% endmacro %}
// x or dy; the weight, or dy where its gradient is computed.
{{ operand("image", 1, image_fours) }}
{{ operand("factor", 2, false) }}
{% set element = "vec4<f32>" if result_fours else "f32" %}
@group(0) @binding(3) var<storage, read_write> result: array<{{ element }}>;
{% for operand in operands %}
@group(0) @binding({{ loop.index0 + 4 }}) var<storage, read> values{{ loop.index0 }}: array<{{ "f32" if operand.channel else element }}>;
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
{% if operand.channel %}
    let operand{{ loop.index0 }} = vec4({{ name }}[channel]);
{% elif operand.scalar %}
    let operand{{ loop.index0 }} = vec4({{ name }}[0]);
{% elif result_fours %}
    let operand{{ loop.index0 }} = {{ name }}[into.x / 4u];
{% else %}
    let operand{{ loop.index0 }} = vec4({{ name }}[into.x], {{ name }}[into.y], {{ name }}[into.z], {{ name }}[into.w]);
{% endif %}
{% endfor %}
    let value = chain(sums{% for operand in operands %}, operand{{ loop.index0 }}{% endfor %});
{% if result_fours %}
    if place.inside.x { result[into.x / 4u] = value; }
{% else %}
    if place.inside.x { result[into.x] = value.x; }
    if place.inside.y { result[into.y] = value.y; }
    if place.inside.z { result[into.z] = value.z; }
    if place.inside.w { result[into.w] = value.w; }
{% endif %}
    return value;
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
    // Neighbours bring what lies together.
    let term = vec2(lane % SLAB, lane / SLAB);
    let other = vec2(lane / (TILE / 4u), lane % (TILE / 4u));
    let left_k = {{ "term" if left == "terms" else "other" }}.x;
    let left_four = {{ "term" if left == "terms" else "other" }}.y;
    let right_k = {{ "term" if right == "terms" else "other" }}.x;
    let right_four = {{ "term" if right == "terms" else "other" }}.y;
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
