// 2-d convolution and its input gradient over channels-last images, f32, for adapters that run a subgroup as one vector on a
// CPU. Needs common/grid.wgsl, common/conv2d.wgsl, common/texture.wgsl, common/phases.wgsl, common/walk.wgsl,
// common/read.wgsl, common/functions.wgsl and common/chain.wgsl.
//
// The maths is that of conv2d.wgsl, as an implicit matrix product: rows are pixels of the output, columns its channels, and
// the sum runs over taps and channels of the input. x is [N, H, W, C], y is [N, H, W, O], the weight [KH, KW, C, O], all in
// fours of channels.
//
// One workgroup is one subgroup of {{ lanes }} and computes {{ pixels }} pixels by {{ 4 * quads * lanes // share }} channels in registers. For each tap and
// four channels of the input a lane loads its own {{ loads }} pixels, and {{ 4 * quads }} fours of the weight; then every pixel is broadcast by a
// shuffle: {{ 16 * pixels * quads // share }} multiply-adds a lane for {{ loads + 4 * quads }} loads. Where the output has few channels, {{ share }} pixels share the subgroup.
// Borders and strides only show in a lane's addresses. Both operands come through textures where they are large.
//
// An input whose channels are no multiple of 4 comes by rows (see conv2d_pack.wgsl): a row of the kernel is then one tap of
// KW * C channels.
//
// grad_input is the same with dy for x and the weight transposed, four by four in registers, which costs nothing; its result
// is planar where the channels of x are no fours. Pixels of
// dx whose position is equal modulo the stride meet the same taps (common/phases.wgsl), so a workgroup takes pixels of one
// phase, and no inserted zero is multiplied. It takes those of all images at one place before the next place, and leaves out
// the taps that none of them meets: near a border, where a gradient without padding is larger than dy, that is many.
//
// What follows the convolution (common/chain.wgsl) is computed before a result is stored.
//
// Ladder, GFLOP/s of 3x3, 128 channels at 28x28, forward, on two cores without AVX-512 (omma bench conv --filter
// "[1, 128, 28, 28]", lavapipe 22.3; --exclude takes the rungs away): blocked 2.9; packed 22.7; this from buffers 9.1, from
// textures 45.2, of 94 that chains of multiply-adds reach. Taps that are met alone took conv2's input gradient in LeNet-5,
// batch 64, to 0.64 of its time (omma profile lenet5 --training).
//
// No workgroup memory, no barriers. No compiler in the chain unrolls loops: the text is a template.
//
// Preconditions. The subgroup has exactly {{ lanes }} invocations. C (but by rows) and O are multiples of 4. Element counts are below 2^32. A
// software adapter (lavapipe) silently ends the loops of an invocation after 65,535 iterations in all, so there
// KH * (1 + KW * (1 + C / 4)) + 3 * (KH + KW) <= 65,535.

const LANES = {{ lanes }}u;
const PIXELS = {{ pixels }}u;
const SHARE = {{ share }}u;
const COLUMNS = {{ quads * lanes // share }}u;
{% set rows = range(pixels // share) | list %}
{% set loads = range(loads) | list %}
{% set quads = range(quads) | list %}

{{ fours("image", 1, texture) }}
{{ fours("weight", 2, texture) }}
@group(0) @binding(3) var<storage, read_write> result: array<{{ "f32" if planar else "vec4<f32>" }}>;
{% for operand in operands %}
{{ fours("values" ~ loop.index0, loop.index0 + 4, operand.texture) }}
{% endfor %}

/// A pixel's index from its index in the order of tiles, in which the images follow one another at every place: so a tile's
/// pixels stand at few places, and see the same taps.
fn images_last(index: u32, area: u32) -> u32 {
    let place = index / params.batch;
    return select(NOWHERE, (index - place * params.batch) * area + place, place < area);
}

/// The first of the taps at which a position between two meets an image of so many positions, and the one behind the last.
fn met(walk: Walk, between: vec2<u32>, positions: u32) -> vec2<u32> {
    var taps = vec2(0u, walk.taps.count);
    while taps.x < taps.y && !meets(walk, between, positions, taps.x) { taps.x += 1u; }
    while taps.x < taps.y && !meets(walk, between, positions, taps.y - 1u) { taps.y -= 1u; }
    return taps;
}

fn meets(walk: Walk, between: vec2<u32>, positions: u32, tap: u32) -> bool {
    let ends = vec2<i32>(between + tap * walk.stride);
    return ends.y >= 0 && ends.x < i32(positions);
}

{#- The loops over taps and channels. `height` and `width` are those of the image that is read, `depth` and `columns` the
    channels on both sides, `tap` the rows of the weight that belong to a tap: by rows fewer than the image's channels, so
    that the last four reaches into the next tap, where it meets zeros of the image. #}
{% macro multiply(height, width, depth, tap, columns) %}
    let length = {{ "texels(textureDimensions(weight))" if texture else "arrayLength(&weight)" }};
    let depth = bound(({{ depth }}) / 4u, length);
    let columns = {{ columns }} / 4u;
    let down = {{ "met(vertical, lines, params.out_height)" if transposed else "vec2(0u, vertical.taps.count)" }};
    let across = {{ "met(horizontal, columns_met, params.out_width)" if transposed else "vec2(0u, horizontal.taps.count)" }};
    let vertical_end = bound(down.y, length);
    let horizontal_end = bound(across.y, length);
    for (var ty = down.x; ty < vertical_end; ty++) {
        for (var tx = across.x; tx < horizontal_end; tx++) {
            let ky = vertical.taps.first + ty * vertical.taps.step;
            let kx = horizontal.taps.first + tx * horizontal.taps.step;
            let tap = (ky * {{ "1u" if by_rows else "params.kernel_width" }} + kx) * {{ tap }};
{% if transposed %}
            // Rows of the weight are the channels of dx, its columns those of dy.
{% for q in quads %}
            let row{{ q }} = (tap + 4u * (first_column + column + {{ q * lanes // share }}u)) * depth;
{% endfor %}
{% else %}
            var w_at = tap * columns + first_column + column;
{% endif %}
{% for r in loads %}
            let line{{ r }} = pixel{{ r }}.row + ty * vertical.stride;
            let column{{ r }} = pixel{{ r }}.column + tx * horizontal.stride;
            let seen{{ r }} = pixel{{ r }}.into != NOWHERE && line{{ r }} < {{ height }} && column{{ r }} < {{ width }};
            let place{{ r }} = ((pixel{{ r }}.n * {{ height }} + line{{ r }}) * {{ width }} + column{{ r }}) * depth;
            let at{{ r }} = select(0u, place{{ r }}, seen{{ r }});
{% endfor %}
            for (var c = 0u; c < depth; c++) {
{% for r in loads %}
                let x{{ r }} = select(vec4<f32>(), image_at(at{{ r }} + c), seen{{ r }});
{% endfor %}
{% for q in quads %}
{% if transposed %}
{% for k in range(4) %}
                let block{{ k }}_{{ q }} = weight_at(row{{ q }} + {{ k }}u * depth + c);
{% endfor %}
{% for k in range(4) %}
                let w{{ k }}_{{ q }} = vec4({% for j in range(4) %}block{{ j }}_{{ q }}.{{ "xyzw"[k] }}{{ ", " if not loop.last }}{% endfor %});
{% endfor %}
{% else %}
{% for k in range(4) %}
                let w{{ k }}_{{ q }} = weight_at({{ "min(last_weight, " if by_rows }}w_at + {{ k }}u * columns + {{ q * lanes // share }}u{{ ")" if by_rows }});
{% endfor %}
{% endif %}
{% endfor %}
{% for i in rows %}
                let t{{ i }} = subgroupShuffle(x{{ i * share // lanes }}, {{ i * share % lanes }}u + sharer);
{% for q in quads %}
{% for k in range(4) %}
                sum{{ i }}_{{ q }} = fma(vec4(t{{ i }}.{{ "xyzw"[k] }}), w{{ k }}_{{ q }}, sum{{ i }}_{{ q }});
{% endfor %}
{% endfor %}
{% endfor %}
{% if not transposed %}
                w_at += 4u * columns;
{% endif %}
            }
        }
    }
{% endmacro %}
{% macro store(columns) %}
{% for i in rows %}
    let into{{ i }} = subgroupShuffle(pixel{{ i * share // lanes }}.into, {{ i * share % lanes }}u + sharer);
{% endfor %}
{% if planar %}
    let plane = params.in_height * params.in_width;
{% endif %}
{% for q in quads %}
    let column{{ q }} = first_column + column + {{ q * lanes // share }}u;
{% if planar %}
{% for i in rows %}
    if into{{ i }} != NOWHERE {
{% for l in range(4) %}
        if 4u * column{{ q }} + {{ l }}u < {{ columns }} {
            result[into{{ i }} + (4u * column{{ q }} + {{ l }}u) * plane] = sum{{ i }}_{{ q }}.{{ "xyzw"[l] }};
        }
{% endfor %}
    }
{% endfor %}
{% else %}
    if column{{ q }} < {{ columns }} / 4u {
{% for operand in operands %}
{% if operand.channel %}
        let operand{{ loop.index0 }} = values{{ loop.index0 }}_at(column{{ q }});
{% elif operand.scalar %}
        let operand{{ loop.index0 }} = vec4(values{{ loop.index0 }}_at(0u).x);
{% endif %}
{% endfor %}
{% for i in rows %}
        if into{{ i }} != NOWHERE {
            let at = into{{ i }} + column{{ q }};
            result[at] = chain(sum{{ i }}_{{ q }}
                {%- for operand in operands %}, {{ "operand" ~ loop.index0 if operand.channel or operand.scalar else "values" ~ loop.index0 ~ "_at(at)" }}{% endfor %});
        }
{% endfor %}
    }
{% endif %}
{% endfor %}
{% endmacro %}

{% if not transposed %}
@compute @workgroup_size(LANES)
fn forward(invocation: Invocation) {
    let index = flat_workgroup(invocation.group, invocation.groups);
    let column_tiles = tiles(params.out_channels / 4u, COLUMNS);
    let first_column = index % column_tiles * COLUMNS;
    let first_pixel = index / column_tiles * PIXELS;
    let column = invocation.local % (LANES / SHARE);
    let sharer = invocation.local / (LANES / SHARE);
    let vertical = Walk(Taps(0u, 1u, params.kernel_height), params.dilation_height);
    let horizontal = Walk(Taps(0u, 1u, {{ "1u" if by_rows else "params.kernel_width" }}), params.dilation_width);
{% for r in loads %}
    let pixel{{ r }} = forward_pixel(first_pixel + {{ r }}u * LANES + invocation.local);
{% endfor %}
{% for q in quads %}
{% for i in rows %}
    var sum{{ i }}_{{ q }} = vec4<f32>();
{% endfor %}
{% endfor %}
{% if by_rows %}
    // A row's last four reaches beyond it; of the last row, beyond the weight.
    let last_weight = params.kernel_height * params.kernel_width * params.in_channels * params.out_channels / 4u - 1u;
{{ multiply("params.in_height", "params.out_width", "4u * tiles(params.in_channels * params.kernel_width, 4u)", "params.in_channels * params.kernel_width", "params.out_channels") }}
{% else %}
{{ multiply("params.in_height", "params.in_width", "params.in_channels", "params.in_channels", "params.out_channels") }}
{% endif %}
{{ store("params.out_channels") }}
}

{% else %}
@compute @workgroup_size(LANES)
fn grad_input(invocation: Invocation) {
    let column_tiles = tiles(tiles(params.in_channels, 4u), COLUMNS);
    let phase_height = tiles(params.in_height, params.stride_height);
    let phase_width = tiles(params.in_width, params.stride_width);
    let phase_tiles = tiles(params.batch * phase_height * phase_width, PIXELS);
    let index = flat_workgroup(invocation.group, invocation.groups);
    let first_column = index % column_tiles * COLUMNS;
    let first_pixel = index / column_tiles % phase_tiles * PIXELS;
    let number = index / column_tiles / phase_tiles;
    // One too many begins below the image.
    let phase = vec2(number / params.stride_width, number % params.stride_width);
    let column = invocation.local % (LANES / SHARE);
    let sharer = invocation.local / (LANES / SHARE);
    let p = params;
    let vertical_taps = phase_taps(phase.x + p.pad_top, p.kernel_height, p.stride_height, p.dilation_height);
    let horizontal_taps = phase_taps(phase.y + p.pad_left, p.kernel_width, p.stride_width, p.dilation_width);
    // Exact: a step of the taps is what brings the position to a multiple of the stride again.
    let vertical = Walk(vertical_taps, 0u - vertical_taps.step * p.dilation_height / p.stride_height);
    let horizontal = Walk(horizontal_taps, 0u - horizontal_taps.step * p.dilation_width / p.stride_width);
    // The places of the tile's pixels, and what the lines and columns between see first.
    let area = phase_height * phase_width;
    let places = min(vec2(first_pixel, first_pixel + PIXELS - 1u) / p.batch, vec2(area - 1u));
    let ends = places / phase_width;
    let columns_between = select(vec2(0u, phase_width - 1u), places % phase_width, ends.x == ends.y);
    let lines = vec2(gradient_line(ends.x, phase.x, vertical_taps), gradient_line(ends.y, phase.x, vertical_taps));
    let columns_met = vec2(
        gradient_column(columns_between.x, phase.y, horizontal_taps),
        gradient_column(columns_between.y, phase.y, horizontal_taps),
    );
{% for r in loads %}
    let pixel{{ r }} = gradient_pixel(
        images_last(first_pixel + {{ r }}u * LANES + invocation.local, area), phase, vertical_taps, horizontal_taps);
{% endfor %}
{% for q in quads %}
{% for i in rows %}
    var sum{{ i }}_{{ q }} = vec4<f32>();
{% endfor %}
{% endfor %}
{{ multiply("params.out_height", "params.out_width", "params.out_channels", "params.in_channels", "params.in_channels") }}
{{ store("params.in_channels") }}
}
{% endif %}
