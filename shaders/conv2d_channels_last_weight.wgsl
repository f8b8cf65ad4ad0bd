// Weight gradient of a 2-d convolution over channels-last images, f32, for adapters that run a subgroup as one vector on a
// CPU. Needs common/grid.wgsl, common/divide.wgsl, common/conv2d.wgsl.
//
// The maths is that of conv2d.wgsl. x is [N, H, W, C], dy is [N, OH, OW, O], both in fours of channels.
//
// One workgroup is one subgroup of {{ lanes }} and computes, for one tap, {{ 4 * depth }} channels of x by {{ 4 * quads * lanes // share }} of dy, over a slice of the pixels:
// for {{ lanes }} pixels a lane loads {{ depth }} fours of its own pixel of x and {{ quads * lanes // share }} fours of dy, and every pixel of x is broadcast by a shuffle:
// {{ 16 * depth * quads * lanes // share }} multiply-adds. Where dy has few channels, {{ share }} pixels share the subgroup and their sums are added at the end. Slices
// [KH, KW, C, O] go to places of their own, which pointwise.wgsl adds.
//
// An x whose channels are no multiple of 4 comes by rows (see conv2d_pack.wgsl): a row of the kernel is then one tap of
// KW * C channels.
//
// Ladder, measured as that of conv2d_channels_last.wgsl: blocked 2.7 GFLOP/s; packed 24.9; this from buffers 6.4, from
// textures 40.7.
//
// No workgroup memory, no barriers. No compiler in the chain unrolls loops: the text is a template.
//
// Preconditions. The subgroup has exactly {{ lanes }} invocations. C (but by rows) and O are multiples of 4. Element counts are below 2^30. A
// software adapter (lavapipe) silently ends the loops of an invocation after 65,535 iterations in all, so there
// ceil(N*OH*OW / {{ lanes }} / splits) <= 65,535.

const LANES = {{ lanes }}u;
const DEPTH = {{ depth }}u;
const SHARE = {{ share }}u;
const COLUMNS = {{ quads * lanes // share }}u;
{% set turns = range(lanes // share) | list %}
{% set depth = range(depth) | list %}
{% set quads = range(quads) | list %}

{{ fours("x_fours", 1, texture) }}
{{ fours("dy_fours", 2, texture) }}
@group(0) @binding(3) var<storage, read_write> partial_fours: array<vec4<f32>>;

@compute @workgroup_size(LANES)
fn grad_weight(invocation: Invocation) {
{% if by_rows %}
    let taps = params.kernel_height;
    let depth = tiles(params.in_channels * params.kernel_width, 4u);
{% else %}
    let taps = params.kernel_height * params.kernel_width;
    let depth = params.in_channels / 4u;
{% endif %}
    let columns = params.out_channels / 4u;
    let column_tiles = tiles(columns, COLUMNS);
    let depth_tiles = tiles(depth, DEPTH);
    let index = flat_workgroup(invocation.group, invocation.groups);
    let column = invocation.local % (LANES / SHARE);
    let sharer = invocation.local / (LANES / SHARE);
    let first_column = index % column_tiles * COLUMNS + column;
    let first_depth = index / column_tiles % depth_tiles * DEPTH;
    let tap = index / column_tiles / depth_tiles % taps;
    let slice = index / column_tiles / depth_tiles / taps;
    if slice >= params.splits { return; }
{% if by_rows %}
    let down = tap * params.dilation_height - params.pad_top;
{% else %}
    let down = tap / params.kernel_width * params.dilation_height - params.pad_top;
    let across = tap % params.kernel_width * params.dilation_width - params.pad_left;
{% endif %}
{% for j in depth %}
    // What a tile has too much is computed again and not stored.
    let depth{{ j }} = min(first_depth + {{ j }}u, depth - 1u);
{% for k in range(4) %}
{% for q in quads %}
    var sum{{ j }}_{{ k }}_{{ q }} = vec4<f32>();
{% endfor %}
{% endfor %}
{% endfor %}

    let pixels = params.batch * params.out_height * params.out_width;
    let length = tiles(tiles(pixels, LANES), params.splits);
    let end = min((slice + 1u) * length * LANES, pixels);
    for (var first = slice * length * LANES; first < end; first += LANES) {
        let line = div_rem(first + invocation.local, params.out_width);
        let image = div_rem(line.x, params.out_height);
        let y = image.y * params.stride_height + down;
{% if by_rows %}
        let seen = first + invocation.local < pixels && y < params.in_height;
        let place = ((image.x * params.in_height + y) * params.out_width + line.y) * depth;
{% else %}
        let column = line.y * params.stride_width + across;
        let seen = first + invocation.local < pixels && y < params.in_height && column < params.in_width;
        let place = ((image.x * params.in_height + y) * params.in_width + column) * depth;
{% endif %}
        let at = select(0u, place, seen);
{% for j in depth %}
        let x{{ j }} = select(vec4<f32>(), x_fours_at(at + depth{{ j }}), seen);
{% endfor %}
{% for i in turns %}
        let from{{ i }} = min(first + {{ i * share }}u + sharer, pixels - 1u) * columns + first_column;
{% for q in quads %}
        let dy{{ i }}_{{ q }} = dy_fours_at(from{{ i }} + {{ q * lanes // share }}u);
{% endfor %}
{% endfor %}
{% for j in depth %}
{% for i in turns %}
        let t{{ j }}_{{ i }} = subgroupShuffle(x{{ j }}, {{ i * share }}u + sharer);
{% endfor %}
{% for k in range(4) %}
{% for q in quads %}
{% for i in turns %}
        sum{{ j }}_{{ k }}_{{ q }} = fma(vec4(t{{ j }}_{{ i }}.{{ "xyzw"[k] }}), dy{{ i }}_{{ q }}, sum{{ j }}_{{ k }}_{{ q }});
{% endfor %}
{% endfor %}
{% endfor %}
{% endfor %}
    }

{% if by_rows %}
    let rows = params.in_channels * params.kernel_width;
{% else %}
    let rows = params.in_channels;
{% endif %}
    let into = (slice * taps + tap) * rows;
{% for q in quads %}
    let column{{ q }} = first_column + {{ q * lanes // share }}u;
{% for j in depth %}
{% for k in range(4) %}
{% if share > 1 %}
    var all{{ q }}_{{ j }}_{{ k }} = subgroupShuffle(sum{{ j }}_{{ k }}_{{ q }}, column);
{% for s in range(1, share) %}
    all{{ q }}_{{ j }}_{{ k }} += subgroupShuffle(sum{{ j }}_{{ k }}_{{ q }}, column + {{ s * lanes // share }}u);
{% endfor %}
{% else %}
    let all{{ q }}_{{ j }}_{{ k }} = sum{{ j }}_{{ k }}_{{ q }};
{% endif %}
{% endfor %}
{% endfor %}
    if column{{ q }} < columns && sharer == 0u {
{% for j in depth %}
        if first_depth + {{ j }}u < depth {
{% for k in range(4) %}
{% if by_rows %}
            if 4u * depth{{ j }} + {{ k }}u < rows {
                partial_fours[(into + 4u * depth{{ j }} + {{ k }}u) * columns + column{{ q }}] = all{{ q }}_{{ j }}_{{ k }};
            }
{% else %}
            partial_fours[(into + 4u * depth{{ j }} + {{ k }}u) * columns + column{{ q }}] = all{{ q }}_{{ j }}_{{ k }};
{% endif %}
{% endfor %}
        }
{% endfor %}
    }
{% endfor %}
}
