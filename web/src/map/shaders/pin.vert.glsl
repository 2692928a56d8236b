layout(location = 0) in vec2 a_at;
layout(location = 1) in vec4 a_look; // colour, shape

out vec2 v_at; // position relative to the tip (px), y up
flat out vec4 v_look;

void main() {
    v_at = vec2((gl_VertexID & 1) == 0 ? -34.0 : 34.0, (gl_VertexID & 2) == 0 ? -26.0 : 58.0);
    v_look = a_look;
    gl_Position = clip_from_px(px_from_ground(a_at, 0.0) + v_at * vec2(1.0, -1.0), 0.0);
}
