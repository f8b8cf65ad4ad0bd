// The matrix products of Winograd's convolution (conv2d_winograd.wgsl), f32, for adapters that run a subgroup as one vector
// on a CPU. Needs common/grid.wgsl, common/texture.wgsl, common/read.wgsl, common/winograd.wgsl.
//
// m[e, tile, o] = sum over c of v[e, tile, c] * u[e, c, o] for each of the 36 elements e. v is [36, tiles, C], m
// [36, tiles, O], both in fours of the last axis; u is [36, C, O], in blocks of COLUMNS fours of O that follow one another.
//
// One workgroup is one subgroup of {{ lanes }} and computes {{ rows }} tiles by {{ 4 * quads * lanes }} columns of one element in registers. For
// four channels a lane loads {{ loads }} fours of v and {{ 4 * quads }} of u; then every four of v is broadcast by a shuffle: {{ 16 * rows * quads }}
// multiply-adds a lane. Operands come through textures where they are large.
// Memory traffic: v once for every {{ 4 * quads * lanes }} columns, u once for every {{ rows }} tiles. No workgroup memory, no barriers.
//
// The blocks, in place of rows of O, took the products of `omma profile resnet18` from 35.3 to 31.7 ms on one core of a CPU
// (lavapipe, AVX2, medians of interleaved runs 58.6 and 52.5): their fours are read in the order in which they lie.
// Preconditions. The subgroup has exactly {{ lanes }} invocations; element counts are below 2^32; C / 4 <= 65,535.

const ROWS = {{ rows }}u;

{{ fours("u", 2, texture) }}
@group(0) @binding(3) var<storage, read_write> m: array<vec4<f32>>;

@compute @workgroup_size(LANES)
fn product(invocation: Invocation) {
    let block = block_of(invocation, params.tiles, ROWS);
    let element = block.element;
    if element >= 36u { return; }
    let first_column = block.column - invocation.local;
{% for r in range(loads) %}
    let row{{ r }} = min(block.first_row + {{ r * lanes }}u + invocation.local, params.tiles - 1u);
    let v{{ r }} = element * params.v_plane + row{{ r }} * params.depth;
{% endfor %}
{% for q in range(quads) %}
    let column{{ q }} = min(invocation.local + {{ q * lanes }}u, params.columns - 1u - first_column);
{% for i in range(rows) %}
    var sum{{ i }}_{{ q }} = vec4<f32>();
{% endfor %}
{% endfor %}
    var next = element * params.u_plane + 4u * first_column * params.depth;
    // Were the bound visibly a uniform, lavapipe would fold its value in and compile the kernel anew for it.
    let depth = min(params.depth, {{ "texels(textureDimensions(u))" if texture else "arrayLength(&u)" }});
    for (var c = 0u; c < depth; c++) {
{% for r in range(loads) %}
        let x{{ r }} = v_at(v{{ r }} + c);
{% endfor %}
{% for q in range(quads) %}
{% for k in range(4) %}
        let w{{ k }}_{{ q }} = u_at(next + {{ k }}u * COLUMNS + column{{ q }});
{% endfor %}
{% endfor %}
{% for i in range(rows) %}
        let t{{ i }} = subgroupShuffle(x{{ i // lanes }}, {{ i % lanes }}u);
{% for q in range(quads) %}
{% for k in range(4) %}
        sum{{ i }}_{{ q }} = fma(vec4(t{{ i }}.{{ "xyzw"[k] }}), w{{ k }}_{{ q }}, sum{{ i }}_{{ q }});
{% endfor %}
{% endfor %}
{% endfor %}
        next += 4u * COLUMNS;
    }
{% for i in range(rows) %}
    if block.first_row + {{ i }}u < params.tiles {
        let into = element * params.m_plane + (block.first_row + {{ i }}u) * params.columns;
{% for q in range(quads) %}
        if block.column + {{ q * lanes }}u < params.columns { m[into + block.column + {{ q * lanes }}u] = sum{{ i }}_{{ q }}; }
{% endfor %}
    }
{% endfor %}
}
