// The arithmetic ceiling: chains of multiply-adds in registers.
//
// Maths: a <- a * m + c, ITERATIONS times the rounds below, for GROUPS times WIDTH vec4 accumulators an invocation. m is
// below 1, so that the values stay finite, and comes from memory, so that nothing can be computed beforehand.
// One invocation: all of its accumulators; it writes their sum, so that none can be left out.
// Memory traffic: 32 bytes read and 16 written an invocation, nothing beside the arithmetic. No barriers.
// The text is unrolled, as no compiler of a software adapter unrolls it: the WIDTH chains of a group hide the latency of
// one another and fit the 16 vector registers of a core, the groups follow one another.

override ITERATIONS: u32 = 256u;

@group(0) @binding(0) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> result: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let m = source[0];
    let c = source[1];
{% for a in range(groups * width) %}
    var a{{ a }} = c * {{ a + 1 }}.0;
{% endfor %}
    for (var i = 0u; i < ITERATIONS; i++) {
{% for group in range(groups) %}
{% for round in range(rounds) %}
{% for a in range(group * width, (group + 1) * width) %}
        a{{ a }} = fma(a{{ a }}, m, c);
{% endfor %}
{% endfor %}
{% endfor %}
    }
    result[id.x % arrayLength(&result)] =
        {% for a in range(groups * width) %}a{{ a }}{% if not loop.last %} + {% endif %}{% endfor %};
}
