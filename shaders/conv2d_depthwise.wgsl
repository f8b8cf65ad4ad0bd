// Depthwise 2-d convolution and its input gradient, f32: as many groups as channels, each with one output. Needs
// common/grid.wgsl, common/divide.wgsl, common/conv2d.wgsl, common/texture.wgsl, common/read.wgsl, common/functions.wgsl and
// common/chain.wgsl.
//
//   y[n, c, oy, ox]  = bias[c] + sum over ky, kx of x[n, c, iy, ix]  * w[c, ky, kx]
//   dx[n, c, iy, ix] =           sum over ky, kx of dy[n, c, oy, ox] * w[c, ky, kx]
//
// with iy = oy*stride + ky*dilation - pad (likewise ix), terms outside the image left out. Images are {{ "[N, C, H, W]" if planar else "[N, H, W, C] in fours of
// channels" }}, the weight is [C, KH, KW].
//
// One invocation computes a strip of {{ "one channel" if planar else "four channels" }}, {{ columns }} positions wide (in grad_input times the stride), row by row: it keeps the
// rows of the source that the next one sees again in registers, so that each is loaded once a strip, and each element of a
// row once for all taps. grad_input steps over dy and computes stride x stride elements of dx for each: which taps meet
// which is known when the text is made, so nothing is multiplied by an inserted zero. {{ "A strip is " ~ rows ~ " turns long, which stand in the text." if rows else "A loop goes over a strip's turns." }}
//
// Memory traffic: every element of the source is read about (1 + (KW - 1) / {{ columns }}) * (1 + (KH - 1) / R) times for strips of R rows,
// every result written once, a filter read once a strip. No workgroup memory, no barriers. No compiler in the chain unrolls
// loops: the text is a template.
//
// The ladder on two cores of a CPU (lavapipe, AVX2), 3x3, 32 channels of 112x112, milliseconds (omma bench conv --filter
// "depthwise 3x3 [1, 32" --variants), of the last two rungs without the copies to this layout and back:
//   forward  input gradient
//   47.9     57.6           conv2d.wgsl, one result an invocation
//   39.6     47.4           conv2d_blocked.wgsl
//   10.4     11.1           planar strips
//    5.4      4.8           strips in fours of channels, operands in buffers
//    1.4      1.5           operands in textures: 2.2 GB/s, where a copy from buffer to buffer has 1.6
// Of the strips in fours, on a busier machine and with the copies: a loop over a strip's rows, each variable of which costs a
// blend a turn, 5.5 and 6.0; 4 rows in the text 2.8 and 2.9. At stride 2, 64 channels, these do not differ by more than they
// scatter.
// Planar strips, which loop, are for GPUs, where none of this has been timed.
//
// Preconditions. {{ "C is a multiple of 4. " if not planar }}Invocations of a dispatch are below 2^30, element counts below 2^32. A software adapter (lavapipe)
// silently ends the loops of an invocation after 65,535 iterations, so a strip that loops has no more rows; `splits` is the number of
// strips of an image.

override WORKGROUP: u32 = 64u;
{% set element = "f32" if planar else "vec4<f32>" %}
{% set taps = kernel_height * kernel_width %}

{% if planar %}
@group(0) @binding(1) var<storage, read> image: array<f32>;
@group(0) @binding(2) var<storage, read> filters: array<f32>;
fn image_at(index: u32) -> f32 { return image[index]; }
fn filters_at(index: u32) -> f32 { return filters[index]; }
{% for operand in operands %}
@group(0) @binding({{ loop.index0 + 4 }}) var<storage, read> values{{ loop.index0 }}: array<f32>;
fn values{{ loop.index0 }}_at(index: u32) -> vec4<f32> { return vec4(values{{ loop.index0 }}[index]); }
{% endfor %}
{% else %}
{{ fours("image", 1, texture) }}
{{ fours("filters", 2, texture) }}
{% for operand in operands %}
{{ fours("values" ~ loop.index0, loop.index0 + 4, operand.texture) }}
{% endfor %}
{% endif %}
@group(0) @binding(3) var<storage, read_write> result: array<{{ element }}>;

/// The strip of an invocation: its channel (or four), image, place down and across, and where the image begins.
struct Strip {
    channel: u32,
    n: u32,
    down: u32,
    across: u32,
}

/// Neighbours share a cache line: {{ "they take neighbouring columns" if planar else "they take neighbouring channels" }}.
fn strip_of(index: u32, tiles_across: u32) -> Strip {
{% if not planar %}
    let pixel = div_rem(index, params.in_channels / 4u);
    let line = div_rem(pixel.x, tiles_across);
    let place = div_rem(line.x, params.splits);
    return Strip(pixel.y, place.x, place.y, line.y);
{% else %}
    let line = div_rem(index, tiles_across);
    let plane = div_rem(line.x, params.splits);
    let place = div_rem(plane.x, params.in_channels);
    return Strip(place.y, place.x, plane.y, line.y);
{% endif %}
}

/// Where the strip's channel begins in images of so many pixels, and the way from one pixel to the next.
fn origin(strip: Strip, pixels: u32) -> u32 {
{% if not planar %}
    return strip.n * pixels * pitch() + strip.channel;
{% else %}
    return (strip.n * params.in_channels + strip.channel) * pixels;
{% endif %}
}

fn pitch() -> u32 {
    return {{ "1u" if planar else "params.in_channels / 4u" }};
}
{#- The filter of the strip's channel. Four filters are as many fours as one has elements. #}
{% macro load_filter() %}
{% for t in range(taps) %}
    let {{ "w" if planar else "part" }}{{ t }} = filters_at(strip.channel * {{ taps }}u + {{ t }}u);
{% endfor %}
{% if not planar %}
{% for t in range(taps) %}
    let w{{ t }} = vec4({% for c in range(4) %}part{{ (c * taps + t) // 4 }}.{{ "xyzw"[(c * taps + t) % 4] }}{{ ", " if not loop.last }}{% endfor %});
{% endfor %}
{% endif %}
{% endmacro %}
{#- The elements that the strip sees of one row of the source, zero outside of it. #}
{% macro load_row(name, row, width) %}
        let row_{{ name }} = {{ row }};
        let line_{{ name }} = source_origin + row_{{ name }} * source.y * pitch();
{% for c in range(width) %}
        let seen_{{ name }}_{{ c }} = row_{{ name }} < source.x && inside{{ c }};
        let at_{{ name }}_{{ c }} = select(0u, line_{{ name }} + column{{ c }}, seen_{{ name }}_{{ c }});
        let {{ name }}_{{ c }} = select({{ element }}(), image_at(at_{{ name }}_{{ c }}), seen_{{ name }}_{{ c }});
{% endfor %}
{% endmacro %}
{#- What becomes of a sum where its row and column are within the image. #}
{% macro store(sum, row, column) %}
        if {{ row }} < size.x && {{ column }} < size.y {
            let at = result_origin + (({{ row }}) * size.y + {{ column }}) * pitch();
            let value = chain({{ "vec4(" ~ sum ~ ")" if planar else sum }}
                {%- for operand in operands %}, {{ "operand" ~ loop.index0 if operand.channel or operand.scalar else "values" ~ loop.index0 ~ "_at(at)" }}{% endfor %});
            result[at] = value{{ ".x" if planar }};
        }
{% endmacro %}
{#- The loop over a strip's rows, forward or backward. Each turn computes `down` by `across` results from a window over the
    source, `height` by `width`, and moves it on by `step` rows. Result (i, j) meets tap (ky, kx) in the window's row
    i * step + ky * dilation forward, and backward in row (lead * stride + i - ky * dilation) / stride if there is one. #}
{% macro slide(backward) %}
{{ load_filter() }}
{% for operand in operands %}
{% if operand.channel %}
    let operand{{ loop.index0 }} = values{{ loop.index0 }}_at(strip.channel);
{% elif operand.scalar %}
    let operand{{ loop.index0 }} = vec4(values{{ loop.index0 }}_at(0u).x);
{% endif %}
{% endfor %}
{% set down = stride_height if backward else 1 %}
{% set across = columns * stride_width if backward else columns %}
{% set reach = [(kernel_height - 1) * dilation_height, (kernel_width - 1) * dilation_width] %}
{% set lead = [(reach[0] + stride_height - 1) // stride_height, (reach[1] + stride_width - 1) // stride_width] %}
{% set step = 1 if backward else stride_height %}
{% set height = lead[0] + 1 if backward else reach[0] + 1 %}
{% set width = lead[1] + columns if backward else (columns - 1) * stride_width + reach[1] + 1 %}
{% set kept = [height - step, 0] | max %}
{% set text_turns = rows if rows else 1 %}
    let length = {{ rows ~ "u" if rows else "tiles(turns, params.splits)" }};
    let begin = strip.down * length;
    let source_origin = origin(strip, source.x * source.y);
    let result_origin = origin(strip, size.x * size.y);
{% if backward %}
    let top = begin - {{ lead[0] }}u;
    let left = strip.across * {{ columns }}u - {{ lead[1] }}u;
    let into_left = strip.across * {{ across }}u - params.pad_left;
{% else %}
    let top = begin * {{ step }}u - params.pad_top;
    let left = strip.across * {{ columns * stride_width }}u - params.pad_left;
    let into_left = strip.across * {{ across }}u;
{% endif %}
{% for c in range(width) %}
    // Left of or above an image the position wraps round to a huge number: one test serves both edges.
    let inside{{ c }} = left + {{ c }}u < source.y;
    let column{{ c }} = (left + {{ c }}u) * pitch();
{% endfor %}
{% if rows %}
    let turn = begin;
{% else %}
{% for r in range(kept) %}
{{ load_row("first" ~ r, "top + " ~ r ~ "u", width) }}
{% for c in range(width) %}
    var x{{ r }}_{{ c }} = first{{ r }}_{{ c }};
{% endfor %}
{% endfor %}
    let end = min(begin + length, turns);
    for (var turn = begin; turn < end; turn++) {
{% endif %}
{% for t in range(text_turns) %}
{% for r in range(kept + t * step if t or not rows else 0, height + t * step) %}
{{ load_row("x" ~ r, "top + (turn - begin) * " ~ step ~ "u + " ~ r ~ "u", width) }}
{% endfor %}
        let into_top{{ t }} = (turn + {{ t }}u){{ " * " ~ stride_height ~ "u - params.pad_top" if backward }};
{% for i in range(down) %}
{% for j in range(across) %}
{% set sum = "sum" ~ t ~ "_" ~ i ~ "_" ~ j %}
        var {{ sum }} = {{ element }}();
{% for ky in range(kernel_height) %}
{% for kx in range(kernel_width) %}
{% set r = lead[0] * stride_height + i - ky * dilation_height if backward else ky * dilation_height %}
{% set c = lead[1] * stride_width + j - kx * dilation_width if backward else j * stride_width + kx * dilation_width %}
{% set divisor = [stride_height, stride_width] if backward else [1, 1] %}
{% if r % divisor[0] == 0 and c % divisor[1] == 0 %}
        {{ sum }} = fma(x{{ r // divisor[0] + t * step }}_{{ c // divisor[1] }}, w{{ ky * kernel_width + kx }}, {{ sum }});
{% endif %}
{% endfor %}
{% endfor %}
{{ store(sum, "into_top" ~ t ~ " + " ~ i ~ "u", "into_left + " ~ j ~ "u") }}
{% endfor %}
{% endfor %}
{% endfor %}
{% if not rows %}
{% for r in range(kept) %}
{% for c in range(width) %}
        x{{ r }}_{{ c }} = x{{ r + step }}_{{ c }};
{% endfor %}
{% endfor %}
    }
{% endif %}
{% endmacro %}

@compute @workgroup_size(WORKGROUP)
fn forward(invocation: Invocation) {
    let index = flat_workgroup(invocation.group, invocation.groups) * WORKGROUP + invocation.local;
    let source = vec2(params.in_height, params.in_width);
    let size = vec2(params.out_height, params.out_width);
    let turns = size.x;
    let strip = strip_of(index, tiles(size.y, {{ columns }}u));
    if strip.n >= params.batch { return; }
{{ slide(false) }}
}

@compute @workgroup_size(WORKGROUP)
fn grad_input(invocation: Invocation) {
    let index = flat_workgroup(invocation.group, invocation.groups) * WORKGROUP + invocation.local;
    let source = vec2(params.out_height, params.out_width);
    let size = vec2(params.in_height, params.in_width);
    // From where an element of dy saw its first, so that the first of them may lie before the image.
    let turns = tiles(size.x + params.pad_top, {{ stride_height }}u);
    let strip = strip_of(index, tiles(size.y + params.pad_left, {{ columns * stride_width }}u));
    if strip.n >= params.batch { return; }
{{ slide(true) }}
}
