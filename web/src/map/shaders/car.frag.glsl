in vec2 v_at;
flat in vec3 v_color;
flat in float v_size;
flat in float v_trail;
flat in float v_followed;

uniform float u_phase; // s
uniform float u_light; // strength of glow and trail, 0 to 1
out vec4 o_color;

// A capsule with two radii, from the origin upwards (Inigo Quilez, "2D distance functions").
float uneven_capsule(vec2 p, float r1, float r2, float h) {
    p.x = abs(p.x);
    float b = (r1 - r2) / h, a = sqrt(1.0 - b * b);
    float k = dot(p, vec2(-b, a));
    if (k < 0.0) return length(p) - r1;
    if (k > a * h) return length(p - vec2(0.0, h)) - r2;
    return dot(p, vec2(a, b)) - r1;
}

void main() {
    float body = uneven_capsule(v_at + vec2(0.0, v_size * 0.52), v_size * 0.48, v_size * 0.24, v_size * 1.28);
    float aa = 0.6 / u_dpr;
    float core = 1.0 - smoothstep(-aa, aa, body);
    float rim = (1.0 - smoothstep(-aa, aa, body - 1.3)) * (1.0 - core);
    float near = 1.0 - smoothstep(0.5, 1.0, length(v_at) / (v_size * 2.8));
    float glow = exp(-max(body, 0.0) / (v_size * 0.75)) * 0.55 * near;

    float back = -v_at.y / max(v_trail, 1.0);
    float width = v_size * mix(0.42, 0.12, clamp(back, 0.0, 1.0));
    float trail = step(0.0, back) * pow(clamp(1.0 - back, 0.0, 1.0), 1.6)
        * exp(-pow(v_at.x / width, 2.0)) * 0.6 * step(1.0, v_trail);

    // The body is lighter towards the front. A large car has a windscreen.
    vec3 paint = mix(v_color, vec3(1.0), 0.18 + 0.42 * smoothstep(-0.4, 1.0, v_at.y / v_size));
    float screen = smoothstep(8.0, 12.0, v_size) * (1.0 - smoothstep(0.10, 0.16, abs(v_at.y / v_size - 0.34)))
        * (1.0 - smoothstep(0.24, 0.32, abs(v_at.x / v_size)));
    paint = mix(paint, v_color * 0.25, screen * 0.8);

    float ring = 0.0;
    if (v_followed > 0.5) {
        float r = length(v_at), pulse = fract(u_phase * 0.6);
        ring = (1.0 - smoothstep(0.8, 1.6, abs(r - v_size * 1.9))) * 0.9;
        ring += (1.0 - smoothstep(0.8, 2.2, abs(r - v_size * mix(1.9, 4.3, pulse)))) * (1.0 - pulse) * 0.8;
    }
    // Premultiplied alpha: the body covers what is below, and light without alpha is added to it.
    vec3 light = v_color * max(max(glow, trail) * u_light, ring) * (1.0 - core);
    o_color = vec4(paint * core + light * (1.0 - rim * 0.7), core + rim * 0.7);
}
