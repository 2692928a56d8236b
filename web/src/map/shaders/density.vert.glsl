uniform sampler2D u_levels;
uniform vec3 u_place; // ground position of the north-western corner, side of a cell (m)

out vec2 v_at;        // position relative to that corner (cells)

void main() {
    v_at = vec2(gl_VertexID & 1, gl_VertexID >> 1) * vec2(textureSize(u_levels, 0));
    gl_Position = clip_from_px(px_from_ground(u_place.xy + v_at * u_place.z, 0.0), 0.0);
}
