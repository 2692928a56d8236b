// One triangle over the whole screen.
out vec2 v_at; // position on the screen, 0 to 1, y up

void main() {
    v_at = vec2((gl_VertexID << 1) & 2, gl_VertexID & 2);
    gl_Position = vec4(v_at * 2.0 - 1.0, 0.0, 1.0);
}
