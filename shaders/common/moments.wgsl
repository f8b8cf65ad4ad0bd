// The statistics of what a tile of common/tile.wgsl stores: a workgroup also leaves the mean and the sum of squared deviations
// of each of its rows. A batch normalisation that follows in training then need not read the results once more, which saves it
// 4 bytes an element for 8 bytes a row of a tile (batch_norm_tiles.wgsl joins them). Needs common/tile.wgsl.
//
// Not timed on a GPU. Software adapters take other kernels, and have little to gain: there the statistics are 1.4 % of a
// training step of ResNet-18 (omma profile resnet18-64 --training). Not for cooperative matrices, of whose elements no
// invocation knows the places, nor where k is cut into slices.

{% if statistics %}
/// [channels, tiles across] of (mean, sum of squared deviations).
@group(0) @binding({{ operands | length + 4 }}) var<storage, read_write> moments: array<vec2<f32>>;
{% endif %}
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
