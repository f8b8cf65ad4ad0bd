// The matrix products of Winograd's weight gradient (conv2d_winograd.wgsl), f32, for adapters that run a subgroup as one
// vector on a CPU. Needs common/grid.wgsl, common/texture.wgsl, common/read.wgsl, common/winograd.wgsl.
//
// s[e, c, o] = sum over tiles of v[e, tile, c] * z[e, tile, o] for each of the 36 elements e. v is [36, tiles, C], z
// [36, tiles, O], s [36, C, O], all in fours of the last axis. A call that goes on adds its tiles to those of s.
//
// One workgroup is one subgroup of {{ lanes }} and computes {{ 4 * depth }} channels by {{ 4 * quads * lanes }} columns of one element in registers. For
// {{ turns }} tiles a lane loads {{ depth }} fours of v of its own tile and {{ quads * turns }} of z; then every four of v is broadcast by a shuffle: {{ 16 * depth * quads * turns }}
// multiply-adds a lane. Operands come through textures where they are large.
// Memory traffic: v once for every {{ 4 * quads * lanes }} columns, z once for every {{ 4 * depth }} channels. No workgroup memory, no barriers.
//
// On lavapipe (omma bench conv --variants --filter weight) it takes 0.5 to 0.75 of the direct sums' time with 49 to 392
// tiles, about the same with 32 or 1,568 and 1.4 to 2.1 times that with 16 or fewer.
//
// Preconditions. The subgroup has exactly {{ lanes }} invocations; element counts are below 2^32; tiles / {{ turns }} <= 65,535.

const DEPTH = {{ depth }}u;
const TURNS = {{ turns }}u;
{% set turns = range(turns) | list %}
{% set depth = range(depth) | list %}

{{ fours("z", 2, texture) }}
@group(0) @binding(3) var<storage, read_write> s: array<vec4<f32>>;

@compute @workgroup_size(LANES)
fn grad_weight(invocation: Invocation) {
    let block = block_of(invocation, params.depth, DEPTH);
    let element = block.element;
    let first_depth = block.first_row;
    if element >= 36u { return; }
{% for j in depth %}
    // What a tile has too much is computed again and not stored.
    let depth{{ j }} = element * params.v_plane + min(first_depth + {{ j }}u, params.depth - 1u);
{% for k in range(4) %}
{% for q in range(quads) %}
    var sum{{ j }}_{{ k }}_{{ q }} = vec4<f32>();
{% endfor %}
{% endfor %}
{% endfor %}
{% for q in range(quads) %}
    let column{{ q }} = element * params.m_plane + min(block.column + {{ q * lanes }}u, params.columns - 1u);
{% endfor %}
    // Were the bound visibly a uniform, lavapipe would fold its value in and compile the kernel anew for it.
    let tiles = min(params.tiles, {{ "texels(textureDimensions(v))" if texture else "arrayLength(&v)" }});
    for (var first = 0u; first < tiles; first += TURNS) {
        let seen = first + invocation.local < tiles;
        let at = select(0u, first + invocation.local, seen) * params.depth;
{% for j in depth %}
        let x{{ j }} = select(vec4<f32>(), v_at(at + depth{{ j }}), seen);
{% endfor %}
{% for i in turns %}
        let from{{ i }} = min(first + {{ i }}u, tiles - 1u) * params.columns;
{% for q in range(quads) %}
        let z{{ i }}_{{ q }} = z_at(from{{ i }} + column{{ q }});
{% endfor %}
{% endfor %}
{% for j in depth %}
{% for i in turns %}
        let t{{ j }}_{{ i }} = subgroupShuffle(x{{ j }}, {{ i }}u);
{% endfor %}
{% for k in range(4) %}
{% for q in range(quads) %}
{% for i in turns %}
        sum{{ j }}_{{ k }}_{{ q }} = fma(vec4(t{{ j }}_{{ i }}.{{ "xyzw"[k] }}), z{{ i }}_{{ q }}, sum{{ j }}_{{ k }}_{{ q }});
{% endfor %}
{% endfor %}
{% endfor %}
{% endfor %}
    }

{% for j in depth %}
    if first_depth + {{ j }}u < params.depth {
        let into = element * params.u_plane + 4u * (first_depth + {{ j }}u) * params.columns + block.column;
{% for q in range(quads) %}
        if block.column + {{ q * lanes }}u < params.columns {
{% for k in range(4) %}
            let at{{ k }} = into + {{ k }}u * params.columns + {{ q * lanes }}u;
            s[at{{ k }}] = {{ "s[at" ~ k ~ "] + " if more }}sum{{ j }}_{{ k }}_{{ q }};
{% endfor %}
        }
{% endfor %}
    }
{% endfor %}
}
