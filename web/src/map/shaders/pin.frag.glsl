in vec2 v_at;
flat in vec4 v_look;

uniform float u_phase; // s
out vec4 o_color;

float uneven_capsule(vec2 p, float r1, float r2, float h) {
    p.x = abs(p.x);
    float b = (r1 - r2) / h, a = sqrt(1.0 - b * b);
    float k = dot(p, vec2(-b, a));
    if (k < 0.0) return length(p) - r1;
    if (k > a * h) return length(p - vec2(0.0, h)) - r2;
    return dot(p, vec2(a, b)) - r1;
}

float inside(float d) {
    return clamp(0.5 - d * u_dpr, 0.0, 1.0);
}

void main() {
    vec3 color = v_look.rgb;
    vec2 head = v_at - vec2(0.0, 31.0);
    float drop = uneven_capsule(v_at - vec2(0.0, 2.0), 1.6, 14.0, 29.0);
    float hole = length(head) - 7.5;
    vec2 q = abs(head) - 2.2;
    float square = length(max(q, 0.0)) + min(max(q.x, q.y), 0.0) - 1.2;
    float mark = v_look.a < 0.5 ? length(head) - 3.4 : square;

    // A spot of light and a growing ring on the ground.
    vec2 ground = v_at * vec2(1.0, 1.7);
    float r = length(ground), pulse = fract(u_phase * 0.45 + v_look.a * 0.5);
    float ripple = (1.0 - smoothstep(0.6, 1.8, abs(r - 26.0 * pulse))) * (1.0 - pulse) * 0.8;
    float spot = exp(-r * 0.22) * 0.9;

    float body = inside(drop);
    vec3 paint = mix(color * 0.82, mix(color, vec3(1.0), 0.35), smoothstep(2.0, 46.0, v_at.y));
    paint = mix(paint, vec3(0.035, 0.055, 0.11), inside(hole));
    paint = mix(paint, mix(color, vec3(1.0), 0.5), inside(mark));
    float shade = (1.0 - smoothstep(0.0, 5.0, drop)) * 0.45 * (1.0 - body);
    float glow = exp(-max(drop, 0.0) * 0.16) * 0.28 * (1.0 - smoothstep(0.6, 1.0, length(head / vec2(34.0, 28.0)) * 0.75));
    vec3 light = color * (glow + (ripple + spot) * (1.0 - body));
    o_color = vec4(paint * body + light * (1.0 - body), body + shade);
}
