layout(location = 0) in vec4 a_path;  // ground positions: from, to
layout(location = 1) in vec4 a_when;  // headings at both ends (turns), start, end (s)
layout(location = 2) in vec4 a_light; // colour, followed

uniform float u_now;     // s
uniform float u_size_px; // half a car's length

out vec2 v_at;           // position relative to the car's middle (px): right, forwards
flat out vec3 v_color;
flat out float v_size;
flat out float v_trail;  // px
flat out float v_followed;

void main() {
    float duration = max(a_when.w - a_when.z, 1e-3);
    float t = clamp((u_now - a_when.z) / duration, 0.0, 1.0);
    float turn = mix(a_when.x, a_when.y, t) * 6.28318531;
    vec2 forward = vec2(sin(turn), -cos(turn));
    vec2 right = vec2(-forward.y, forward.x);
    float speed = distance(a_path.xy, a_path.zw) / duration;
    float moving = 1.0 - smoothstep(1.0, 1.6, (u_now - a_when.z) / duration);
    v_color = a_light.rgb;
    v_followed = a_light.a;
    v_size = u_size_px * (1.0 + 0.45 * v_followed);
    v_trail = min(speed * 3.2 * u_px_per_m, 14.0 * v_size) * moving;
    float reach = v_size * (v_followed > 0.5 ? 4.6 : 2.8);
    v_at.x = (gl_VertexID & 1) == 0 ? -reach : reach;
    v_at.y = (gl_VertexID & 2) == 0 ? -max(reach, v_trail + v_size) : reach;
    vec2 px = px_from_ground(mix(a_path.xy, a_path.zw, t), 0.0) + right * v_at.x + forward * v_at.y;
    gl_Position = clip_from_px(px, 0.0);
}
