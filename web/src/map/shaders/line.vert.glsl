// One quad is one segment of a line. The quad extends beyond both ends of its segment for round caps, and the caps of
// adjacent segments form round joins.
layout(location = 0) in vec4 a_ends;
layout(location = 1) in vec3 a_more; // along (m), height (m), style

uniform vec4 u_strokes[8]; // colour, half width (px); 0: not drawn
uniform vec2 u_dashes[8];  // length, length with gap (px)
uniform float u_pad;       // space around the stroke for a glow (px)

out vec2 v_at;             // position relative to the segment's start (px): along, across
flat out float v_length;   // length of the segment (px)
flat out float v_before;   // length of the line before this segment (px)
flat out float v_half;     // half width (px)
flat out vec3 v_color;
flat out vec2 v_dash;

void main() {
    vec4 stroke = u_strokes[int(a_more.z)];
    v_half = stroke.w;
    v_color = stroke.rgb;
    v_dash = u_dashes[int(a_more.z)];
    vec2 from = px_from_ground(a_ends.xy, a_more.y);
    vec2 to = px_from_ground(a_ends.zw, a_more.y);
    v_length = distance(from, to);
    v_before = a_more.x * u_px_per_m;
    vec2 dir = v_length > 0.0 ? (to - from) / v_length : vec2(1.0, 0.0);
    float reach = v_half + u_pad + 1.0;
    float u = (gl_VertexID & 1) == 0 ? -reach : v_length + reach;
    float v = (gl_VertexID & 2) == 0 ? -reach : reach;
    v_at = vec2(u, v);
    vec2 px = from + dir * u + vec2(-dir.y, dir.x) * v;
    gl_Position = stroke.w > 0.0 ? clip_from_px(px, a_more.y + (a_more.y > 0.0 ? 0.3 : 0.0)) : vec4(2.0, 2.0, 2.0, 1.0);
}
