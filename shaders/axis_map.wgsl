// A sparse linear map along one axis, or neighbouring ones taken as one: y[o, i, r] = sum over row i of weight x[o, column,
// r], for x [outer, columns, inner] and y [outer, rows, inner]. Resizing, reflections, repetitions and pooling over adaptive windows are all this, and so are their
// gradients, with rows and columns exchanged.
// The table is of floats. Where rows have few entries and nearly the same number of them (`taps`, else 0), it has the
// columns of all first entries, one for each row, then those of all second ones and so on, a negative number where a row has
// no more, and behind them, if there are weights other than 1 (`weighted`), these in the same order. Else it has a pair for
// each row, where its entries begin and their number, and behind these the entries, pairs of a column and a weight. All are
// whole numbers below 2^24 but the weights. A row of one entry of weight 1 is that element, bit by bit.
// One invocation computes one element (`elements`), four that lie next to each other (`gathered`), a four where inner is a
// number of them (`fours`: inner is then given in fours), or four rows where inner is 1 and there are whole fours (`along`).
// Memory traffic: 4 bytes for each element of y and for each entry of its row, of which caches hold many, and the table. No
// barriers. On two cores of a CPU (lavapipe, AVX2), 16 x 64 planes of 56 x 56 (omma bench ops): to twice the height and
// width by the nearest element 39 ms, linearly 97, in `along`; windows of three lines (unfold) in `fours` 25, in `gathered`
// 46, in `elements` 62. Not timed on a GPU.
// Preconditions: columns of entries lie within x, count < 2^30.
// Needs common/grid.wgsl, common/divide.wgsl, common/texture.wgsl, common/read.wgsl, common/values.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    count: u32,
    inner: u32,
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
{% if form == "fours" %}
alias Value = vec4<f32>;
{{ fours("x", 1, texture) }}
{% else %}
alias Value = f32;
{{ scalars("x", 1, texture) }}
{% endif %}
{% if form == "along" %}
{{ fours("table", 2, table_texture) }}
{% elif taps %}
{{ scalars("table", 2, table_texture) }}
{% else %}
{{ pairs("table", 2, table_texture) }}
{% endif %}
@group(0) @binding(3) var<storage, read_write> y: array<{{ "f32" if form == "elements" else "vec4<f32>" }}>;

{% set read = "x_at" if form == "fours" else "x_element" %}
{% if form == "along" %}
fn value_of(index: u32) -> vec4<f32> {
    let rows = params.rows / 4u;
    let place = div_rem(index, rows);
    let base = place.x * params.columns;
{% for tap in range(taps) %}
    let columns{{ tap }} = table_at({{ tap }}u * rows + place.y);
    let from{{ tap }} = base + vec4<u32>(max(columns{{ tap }}, vec4(0.0)));
    var values{{ tap }} = vec4(
        x_element(from{{ tap }}.x),
        x_element(from{{ tap }}.y),
        x_element(from{{ tap }}.z),
        x_element(from{{ tap }}.w),
    );
{% if weighted %}
    values{{ tap }} *= table_at({{ taps + tap }}u * rows + place.y);
{% endif %}
    {{ "var sum =" if loop.first else "sum +=" }} select(vec4(0.0), values{{ tap }}, columns{{ tap }} >= vec4(0.0));
{% endfor %}
    return sum;
}
{% else %}
fn value_of(index: u32) -> Value {
    let along = div_rem(index, params.inner);
    let place = div_rem(along.x, params.rows);
    let base = place.x * params.columns * params.inner + along.y;
{% for tap in range(taps) %}
    let column{{ tap }} = table_element({{ tap }}u * params.rows + place.y);
    var value{{ tap }} = {{ read }}(base + u32(max(column{{ tap }}, 0.0)) * params.inner);
{% if weighted %}
    value{{ tap }} *= table_element({{ taps + tap }}u * params.rows + place.y);
{% endif %}
    {{ "var sum =" if loop.first else "sum +=" }} select(Value(), value{{ tap }}, column{{ tap }} >= 0.0);
{% else %}
    let row = table_pair(place.y);
    let first = u32(row.x);
    let end = first + u32(row.y);
    var sum = Value();
    for (var k = first; k < end; k++) {
        let entry = table_pair(k);
        sum += entry.y * {{ read }}(base + u32(entry.x) * params.inner);
    }
{% endfor %}
    return sum;
}
{% endif %}

{{ each_value("forward", form) }}
