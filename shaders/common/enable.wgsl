// Directives, which stand before everything else.
{% if cooperative %}
enable f16;
enable wgpu_cooperative_matrix;
{% endif %}
