uniform vec4 u_extent; // west, north, east, south (ground)

out vec2 v_at;         // 0 to 1, south-eastwards

void main() {
    v_at = vec2(gl_VertexID & 1, gl_VertexID >> 1);
    gl_Position = clip_from_px(px_from_ground(mix(u_extent.xy, u_extent.zw, v_at), 0.0), 0.0);
}
