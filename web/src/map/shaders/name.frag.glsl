// The atlas has the halo's coverage in its red channel and the glyph's coverage in its green channel.
in vec2 v_atlas;
flat in vec3 v_color;

uniform sampler2D u_atlas;
uniform vec3 u_halo;
out vec4 o_color;

void main() {
    vec4 cover = texture(u_atlas, v_atlas);
    float halo = cover.r * 0.85 * (1.0 - cover.g);
    o_color = vec4(v_color * cover.g + u_halo * halo, max(cover.g, halo));
}
