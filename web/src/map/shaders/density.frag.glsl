in vec2 v_at;

uniform sampler2D u_levels; // one pixel per cell
uniform vec3 u_place;
uniform vec3 u_ramp[4];     // colours from few cars to many
out vec4 o_color;

void main() {
    float level = texelFetch(u_levels, ivec2(v_at), 0).r, third = level * 3.0;
    vec3 color = mix(u_ramp[0], u_ramp[1], clamp(third, 0.0, 1.0));
    color = mix(color, u_ramp[2], clamp(third - 1.0, 0.0, 1.0));
    color = mix(color, u_ramp[3], clamp(third - 2.0, 0.0, 1.0));
    // Each tile has round corners, a gap to its neighbours and a rim of light that fades inwards.
    float side = u_place.z * u_px_per_m, gap = min(1.5, side * 0.08), radius = min(14.0, side * 0.2);
    vec2 q = abs(fract(v_at) - 0.5) * side - side * 0.5 + gap + radius;
    float d = length(max(q, 0.0)) + min(max(q.x, q.y), 0.0) - radius;
    float inside = clamp(0.5 - d * u_dpr, 0.0, 1.0) * step(0.001, level);
    float rim = exp(d / max(side * 0.07, 1.0));
    float cover = inside * mix(0.18, 0.38, level);
    o_color = vec4(color * cover * (0.72 + 0.6 * rim), cover);
}
