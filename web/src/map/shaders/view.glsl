#version 300 es
precision highp float;
precision highp int;

// The view of the ground. Ground positions are in metres with y southwards, and screen positions are in CSS pixels
// from the middle with y down.
uniform vec2 u_center;
uniform vec2 u_viewport;
uniform float u_px_per_m;
uniform float u_dpr;
// The height of the eye above the ground in metres. Tall objects lean outwards.
uniform float u_eye_m;

vec2 px_from_ground(vec2 at, float height) {
    return (at - u_center) * u_px_per_m * (u_eye_m / (u_eye_m - height));
}

vec4 clip_from_px(vec2 px, float height) {
    return vec4(px * vec2(2.0, -2.0) / u_viewport, -height / 100.0, 1.0);
}
