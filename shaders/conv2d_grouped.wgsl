// 2-d convolution in groups of channels and its gradients, f32. Needs common/grid.wgsl, common/divide.wgsl,
// common/conv2d.wgsl, common/texture.wgsl, common/phases.wgsl, common/walk.wgsl, common/read.wgsl, common/functions.wgsl
// and common/chain.wgsl.
//
// The maths is that of conv2d.wgsl. Images are [N, H, W, C], the weight is [KH, KW, C/groups, O], all in fours of channels.
// A tile of a matrix product would hold channels that never meet: so neighbouring invocations take neighbouring fours of
// channels, each with the pixels of its own group, and share nothing.
//
//   entry point   one invocation                                       a turn of its loop
//   forward       {{ pixels }} pixels by four channels of y                      four channels of x at one tap
//   grad_input    {{ pixels }} pixels of one phase by four channels of dx        four channels of dy at one tap
//   grad_weight   four channels of x by four of dy at one tap, a slice {{ pixels }} pixels of a row
//
// A turn loads a four of each pixel and, but for grad_weight, four of the weight, for {{ 16 * pixels }} multiply-adds. grad_input takes
// the pixels of one phase (common/phases.wgsl), so that no inserted zero is multiplied, and the weight transposed, four by
// four in registers. grad_weight cuts the lines of dy into slices, which pointwise.wgsl adds.
//
// Ladder, 32 groups of 4 channels, 3x3 at 56x56 (`omma bench conv --filter resnext --variants`), milliseconds on two cores of a
// CPU (lavapipe, AVX2), forward, gradient of the input, of the weight:
//   151    193    139     conv2d.wgsl
//    31.6   31.3   34.8   conv2d_blocked.wgsl
//    32.6   32.9   41.2   this from buffers, with the copies to this layout and back
//     9.0    9.3    6.1   from textures, with them: 2.7 of each
// Not timed on a GPU, where it stands behind conv2d.wgsl or conv2d_tiled.wgsl.
//
// No workgroup memory, no barriers, no subgroups. No compiler in the chain unrolls loops: the text is a template.
//
// Preconditions. C/groups and O/groups are multiples of 4. Element counts, and invocations of a dispatch, are below 2^30. A
// software adapter (lavapipe) silently ends the loops of an invocation after 65,535 iterations in all, so there
// KH * (1 + KW * (1 + max(C, O) / groups / 4)) + 2 * (KH + KW) <= 65,535, and of grad_weight
// ceil(N*OH / splits) * (1 + OW / {{ pixels }}).

override WORKGROUP: u32 = 16u;
const PIXELS = {{ pixels }}u;
{% set all = range(pixels) | list %}

{% if entry == "grad_weight" %}
{{ fours("x_fours", 1, texture) }}
{{ fours("dy_fours", 2, texture) }}
@group(0) @binding(3) var<storage, read_write> partial_fours: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn grad_weight(invocation: Invocation) {
    let depth = params.in_channels / 4u;
    let columns = params.out_channels / 4u;
    let index = flat_workgroup(invocation.group, invocation.groups) * WORKGROUP + invocation.local;
    let row = div_rem(index, columns);
    let tap = div_rem(row.x, depth / params.groups);
    let slice = div_rem(tap.x, params.kernel_height * params.kernel_width);
    if slice.x >= params.splits { return; }
    let offset = div_rem(slice.y, params.kernel_width) * vec2(params.dilation_height, params.dilation_width);
    let channel = div_rem(row.y, columns / params.groups).x * (depth / params.groups) + tap.y;
{% for k in range(4) %}
    var sum{{ k }} = vec4<f32>();
{% endfor %}
    let lines = params.batch * params.out_height;
    let length = tiles(lines, params.splits);
    let end = min((slice.x + 1u) * length, lines);
    for (var line = slice.x * length; line < end; line++) {
        let image = div_rem(line, params.out_height);
        // Above and left of the image the position wraps round to a huge number.
        let y = image.y * params.stride_height + offset.x - params.pad_top;
        let first_x = (image.x * params.in_height + y) * params.in_width;
        for (var first = 0u; first < params.out_width; first += PIXELS) {
{% for p in all %}
            let column{{ p }} = (first + {{ p }}u) * params.stride_width + offset.y - params.pad_left;
            let inside{{ p }} = first + {{ p }}u < params.out_width;
            let seen{{ p }} = inside{{ p }} && y < params.in_height && column{{ p }} < params.in_width;
            let x{{ p }} = select(vec4<f32>(), x_fours_at(select(0u, (first_x + column{{ p }}) * depth + channel, seen{{ p }})), seen{{ p }});
            let dy{{ p }} = dy_fours_at(select(0u, (line * params.out_width + first + {{ p }}u) * columns + row.y, inside{{ p }}));
{% for k in range(4) %}
            sum{{ k }} = fma(vec4(x{{ p }}.{{ "xyzw"[k] }}), select(vec4<f32>(), dy{{ p }}, seen{{ p }}), sum{{ k }});
{% endfor %}
{% endfor %}
        }
    }
{% for k in range(4) %}
    partial_fours[(4u * row.x + {{ k }}u) * columns + row.y] = sum{{ k }};
{% endfor %}
}
{% else %}
{% set transposed = entry == "grad_input" %}
{{ fours("image", 1, texture) }}
{{ fours("weight", 2, texture) }}
@group(0) @binding(3) var<storage, read_write> result: array<vec4<f32>>;
{% for operand in operands %}
{{ fours("values" ~ loop.index0, loop.index0 + 4, operand.texture) }}
{% endfor %}

@compute @workgroup_size(WORKGROUP)
fn {{ entry }}(invocation: Invocation) {
    let index = flat_workgroup(invocation.group, invocation.groups) * WORKGROUP + invocation.local;
    // Fours of channels: of what is read, of the result, and of one group of each.
{% if transposed %}
    let depth = params.out_channels / 4u;
    let columns = params.in_channels / 4u;
    let source = vec2(params.out_height, params.out_width);
{% else %}
    let depth = params.in_channels / 4u;
    let columns = params.out_channels / 4u;
    let source = vec2(params.in_height, params.in_width);
{% endif %}
    let group_depth = bound(depth / params.groups, {{ "texels(textureDimensions(weight))" if texture else "arrayLength(&weight)" }});
    let group_columns = columns / params.groups;
    let group_inputs = params.in_channels / params.groups;
    let tile = div_rem(index, columns);
    let column = tile.y;
    let group = div_rem(column, group_columns);
    let first_channel = group.x * group_depth;
{% if transposed %}
    let phase_pixels = params.batch * tiles(params.in_height, params.stride_height) * tiles(params.in_width, params.stride_width);
    let place = div_rem(tile.x, tiles(phase_pixels, PIXELS));
    // One too many begins below the image.
    let phase = div_rem(place.x, params.stride_width);
    let p = params;
    let vertical_taps = phase_taps(phase.x + p.pad_top, p.kernel_height, p.stride_height, p.dilation_height);
    let horizontal_taps = phase_taps(phase.y + p.pad_left, p.kernel_width, p.stride_width, p.dilation_width);
    // Exact: a step of the taps is what brings the position to a multiple of the stride again.
    let vertical = Walk(vertical_taps, 0u - vertical_taps.step * p.dilation_height / p.stride_height);
    let horizontal = Walk(horizontal_taps, 0u - horizontal_taps.step * p.dilation_width / p.stride_width);
{% else %}
    let vertical = Walk(Taps(0u, 1u, params.kernel_height), params.dilation_height);
    let horizontal = Walk(Taps(0u, 1u, params.kernel_width), params.dilation_width);
{% endif %}
{% for p in all %}
{% if transposed %}
    let pixel{{ p }} = gradient_pixel(place.y * PIXELS + {{ p }}u, phase, vertical_taps, horizontal_taps);
{% else %}
    let pixel{{ p }} = forward_pixel(tile.x * PIXELS + {{ p }}u);
{% endif %}
    var sum{{ p }} = vec4<f32>();
{% endfor %}

    for (var ty = 0u; ty < vertical.taps.count; ty++) {
        for (var tx = 0u; tx < horizontal.taps.count; tx++) {
            let ky = vertical.taps.first + ty * vertical.taps.step;
            let kx = horizontal.taps.first + tx * horizontal.taps.step;
            let tap = (ky * params.kernel_width + kx) * group_inputs;
{% for p in all %}
            let line{{ p }} = pixel{{ p }}.row + ty * vertical.stride;
            let column{{ p }} = pixel{{ p }}.column + tx * horizontal.stride;
            let seen{{ p }} = pixel{{ p }}.into != NOWHERE && line{{ p }} < source.x && column{{ p }} < source.y;
            let place{{ p }} = ((pixel{{ p }}.n * source.x + line{{ p }}) * source.y + column{{ p }}) * depth + first_channel;
            let at{{ p }} = select(0u, place{{ p }}, seen{{ p }});
{% endfor %}
            for (var c = 0u; c < group_depth; c++) {
{% if transposed %}
                // Rows of the weight are the channels of dx, its columns those of dy.
{% for k in range(4) %}
                let block{{ k }} = weight_at((tap + 4u * group.y + {{ k }}u) * depth + first_channel + c);
{% endfor %}
{% for k in range(4) %}
                let w{{ k }} = vec4({% for j in range(4) %}block{{ j }}.{{ "xyzw"[k] }}{{ ", " if not loop.last }}{% endfor %});
{% endfor %}
{% else %}
{% for k in range(4) %}
                let w{{ k }} = weight_at((tap + 4u * c + {{ k }}u) * columns + column);
{% endfor %}
{% endif %}
{% for p in all %}
                let x{{ p }} = select(vec4<f32>(), image_at(at{{ p }} + select(0u, c, seen{{ p }})), seen{{ p }});
{% for k in range(4) %}
                sum{{ p }} = fma(vec4(x{{ p }}.{{ "xyzw"[k] }}), w{{ k }}, sum{{ p }});
{% endfor %}
{% endfor %}
            }
        }
    }
{% for operand in operands %}
{% if operand.channel %}
    let operand{{ loop.index0 }} = values{{ loop.index0 }}_at(column);
{% elif operand.scalar %}
    let operand{{ loop.index0 }} = vec4(values{{ loop.index0 }}_at(0u).x);
{% endif %}
{% endfor %}
{% for p in all %}
    if pixel{{ p }}.into != NOWHERE {
        let at = pixel{{ p }}.into + column;
        result[at] = chain(sum{{ p }}
            {%- for operand in operands %}, {{ "operand" ~ loop.index0 if operand.channel or operand.scalar else "values" ~ loop.index0 ~ "_at(at)" }}{% endfor %});
    }
{% endfor %}
}
{% endif %}
