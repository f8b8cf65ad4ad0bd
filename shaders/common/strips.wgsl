// Strips of poolings: an invocation computes several neighbours of a row (of their gradient, of a few rows), so that it works
// out its place once and loads once what they share. Needs common/divide.wgsl, common/window.wgsl, common/read.wgsl.
//
// Rows come in units: of planes four columns, of channels-last images (`last`) four channels of a column. The rows of
// planes are whole numbers of units. What lies where in a strip is known when the text is made, padding included.

struct Strip {
    /// Of channels-last images, the image.
    plane: u32,
    row: u32,
    across: u32,
    /// Four of channels.
    quad: u32,
}

/// Where strip number `index` lies where an image has so many rows of so many.
fn strip_of(index: u32, rows: u32, across: u32) -> Strip {
{% if last %}
    let pixel = div_rem(index, params.quads);
    let at = unflatten(pixel.x, rows, across);
    return Strip(at.x, at.y, at.z, pixel.y);
{% else %}
    let at = unflatten(index, rows, across);
    return Strip(at.x, at.y, at.z, 0u);
{% endif %}
}

/// The units of a row.
fn units(width: u32) -> u32 {
    return {{ "width" if last else "width / 4u" }};
}

/// Where a unit lies in its buffer.
fn unit_place(unit: u32, strip: Strip) -> u32 {
    return {{ "unit * params.quads + strip.quad" if last else "unit" }};
}

{#- The units of a row that is `inside` the image or not, from `from` to `to` as counted from the strip's own, `base`: those
    from 0 on and before `own` are in every image. Beyond the image are copies of the nearest cell (`edge` is "nearest")
    or, also where the row is, this number. #}
{% macro load_units(name, image, line, inside, base, width, from, to, own, edge) %}
{% for unit in range(from, to + 1) %}
{% set id = name ~ "_" ~ (unit - from) %}
{% set checked = unit < 0 or unit >= own %}
{% if unit < 0 %}
    let has_{{ id }} = {{ base }} >= {{ -unit }}u;
    let at_{{ id }} = max({{ base }}, {{ -unit }}u) - {{ -unit }}u;
{% elif checked %}
    let has_{{ id }} = {{ base }} + {{ unit }}u < {{ width }};
    let at_{{ id }} = min({{ base }} + {{ unit }}u, {{ width }} - 1u);
{% else %}
    let at_{{ id }} = {{ base }} + {{ unit }}u;
{% endif %}
    let loaded_{{ id }} = {{ image }}_at(unit_place({{ line }} + at_{{ id }}, strip));
{% if edge == "nearest" and checked and not last %}
    let {{ id }} = select(vec4(loaded_{{ id }}.{{ "x" if unit < 0 else "w" }}), loaded_{{ id }}, has_{{ id }});
{% elif edge == "nearest" %}
    let {{ id }} = loaded_{{ id }};
{% elif checked %}
    let {{ id }} = select(vec4<f32>({{ edge }}), loaded_{{ id }}, has_{{ id }} && {{ inside }});
{% else %}
    let {{ id }} = select(vec4<f32>({{ edge }}), loaded_{{ id }}, {{ inside }});
{% endif %}
{% endfor %}
{% endmacro %}
{#- The column of a row of units that stands so far from the strip's first: of planes a number, else a vec4. #}
{% macro column_of(name, from, offset) %}
{{- name }}_{{ offset - from if last else (offset + 256) // 4 - 64 - from }}{{ "." ~ "xyzw"[(offset + 256) % 4] if not last }}
{%- endmacro %}
{#- The first unit, or the last, that holds this column. #}
{% macro unit_of(offset) %}
{{- offset if last else (offset + 256) // 4 - 64 }}
{%- endmacro %}
{% if entry == "forward" %}
{% set from = unit_of(-pad_left) | int %}
{% set to = unit_of((columns - 1) * stride_width + kernel_width - 1 - pad_left) | int %}
{% set own = 0 if last else stride_width %}
{% else %}
{#- Windows, counted from a strip's own, that have a cell of the field that belongs to it. #}
{% set top = -((kernel_height - 1 - pad_top) // stride_height) %}
{% set bottom = (stride_height - 1 + pad_top) // stride_height %}
{% set left = -((kernel_width - 1 - pad_left) // stride_width) %}
{% set right = (columns * stride_width - 1 + pad_left) // stride_width %}
{% set from = unit_of(left) | int %}
{% set to = unit_of(right) | int %}
{% endif %}
{#- Which strip an invocation has, and `base`, its first unit in the rows that it reads, of `width`. #}
{% macro begin() %}
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
{% if entry == "forward" %}
    let across = (params.out_width + {{ columns - 1 }}u) / {{ columns }}u;
    let strip = strip_of(index, params.out_height, across);
{% else %}
    let down = (params.in_height + {{ stride_height - 1 }}u) / {{ stride_height }}u;
    let across = (params.in_width + {{ columns * stride_width - 1 }}u) / {{ columns * stride_width }}u;
    let strip = strip_of(index, down, across);
{% endif %}
    if strip.plane >= params.planes { return; }
    let width = units(params.{{ "in" if entry == "forward" else "out" }}_width);
    let base = strip.across * {{ columns * (stride_width if entry == "forward" else 1) // (1 if last else 4) }}u;
{% endmacro %}
{#- Stores the cells that belong to a strip of windows: sums of what the caller writes for a window, whose row is counted from
    `top` and whose column from the strip's own, and for the cell's place in it. #}
{% macro store_fields(outputs, top, bottom, left, right) %}
{% set per = 1 if last else 4 %}
    let first_row = strip.row * {{ stride_height }}u;
    let first = base * {{ stride_width }}u;
    let line = (strip.plane * params.in_height + first_row) * units(params.in_width) + first;
{% for i in range(stride_height) %}
{% for u in range(outputs * stride_width) %}
    if first_row + {{ i }}u < params.in_height && first + {{ u }}u < units(params.in_width) {
        let place = unit_place(line + {{ i }}u * units(params.in_width) + {{ u }}u, strip);
{% for k in range(per) %}
        var sum{{ k }} = {{ "vec4<f32>()" if last else "0.0" }};
{% for o in range(top, bottom + 1) %}
{% for q in range(left, right + 1) %}
{% set row = i + pad_top - o * stride_height %}
{% set column = u * per + k + pad_left - q * stride_width %}
{% if row >= 0 and row < kernel_height and column >= 0 and column < kernel_width %}
        sum{{ k }} += {{ caller(o - top, q, row * kernel_width + column) }};
{% endif %}
{% endfor %}
{% endfor %}
{% endfor %}
        dx[place] = finished({{ "sum0" if last else "vec4(sum0, sum1, sum2, sum3)" }}, place);
    }
{% endfor %}
{% endfor %}
{% endmacro %}
