// A glowing line. It is painted with MAX blending, so that segments that overlap at a bend are not brighter there.
in vec2 v_at;
flat in float v_length;
flat in float v_before;
flat in float v_half;
flat in vec3 v_color;
flat in vec2 v_dash;

uniform vec3 u_end_color;
uniform float u_total;    // length of the whole line (px)
uniform float u_phase;    // s
uniform float u_strength; // brightness; 1 for the route
out vec4 o_color;

void main() {
    float end = max(max(-v_at.x, v_at.x - v_length), 0.0);
    float from_line = length(vec2(end, v_at.y));
    float along = v_before + clamp(v_at.x, 0.0, v_length);
    vec3 color = mix(v_color, u_end_color, clamp(along / max(u_total, 1.0), 0.0, 1.0));
    float core = clamp((v_half - from_line) * u_dpr + 0.5, 0.0, 1.0);
    float glow = exp(-max(from_line - v_half, 0.0) * 0.28) * 0.42;
    // Waves of light flow towards the drop-off, with a steep front and a long tail.
    float wave = fract(along / 72.0 - u_phase * 0.9);
    float flow = smoothstep(0.55, 0.97, wave) * (1.0 - smoothstep(0.97, 1.0, wave));
    vec3 lit = mix(color * 0.78, mix(color, vec3(1.0), 0.75), flow);
    o_color = vec4((lit * core + color * glow * (1.0 - core)) * u_strength, 1.0);
}
