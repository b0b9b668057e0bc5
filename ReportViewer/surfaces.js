// The surfaces in 3-D: turned by mouse, touch and keys, cut by a plane with closed faces.
import * as THREE from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
import { colorOf, stopsOf } from "./colors.js";
import { corners, points, values } from "./unpack.js";

const ANGLE_DEGREES = 22;
const MARGIN = 1.08;
const TURN = Math.PI / 24;
const MARKER = 0x7a1fa2;
const ARROW = 0x1b2a6b;

export class Surfaces {
  /** canvas: where it is drawn. header, buffer: the scene. Throws where there is no WebGL. */
  constructor(canvas, header, buffer) {
    this.canvas = canvas;
    this.renderer = new THREE.WebGLRenderer({
      canvas, antialias: true, stencil: true, preserveDrawingBuffer: true });
    this.renderer.localClippingEnabled = true;
    this.renderer.setClearColor(0xe9edf0);
    this.scene = new THREE.Scene();
    this.camera = new THREE.PerspectiveCamera(ANGLE_DEGREES, 1, 1, 5000);
    this.camera.up.set(0, 0, 1); // LPS: up is the third axis
    this.plane = new THREE.Plane(new THREE.Vector3(0, 0, -1), 0);
    this.cutting = false;
    this._light();
    this.parts = new Map();
    header.parts.forEach((part, order) => this.parts.set(part.key, this._part(part, buffer, order)));
    this.box = new THREE.Box3();
    this.parts.forEach((part) => this.box.union(part.mesh.geometry.boundingBox));
    this.middle = this.box.getCenter(new THREE.Vector3());
    this.marker = new THREE.Mesh(
      new THREE.SphereGeometry(1.2, 24, 16),
      // Seen through bone, too; it may lie on the wall of the hole.
      new THREE.MeshBasicMaterial({ color: MARKER, depthTest: false, transparent: true, opacity: 0.85 }));
    this.marker.visible = false;
    this.marker.renderOrder = 2000;
    this.scene.add(this.marker);
    this.arrows = new THREE.Group();
    header.ways_out.forEach((way) => this.arrows.add(arrow(way)));
    this.scene.add(this.arrows);
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.addEventListener("change", () => this.draw());
    canvas.addEventListener("keydown", (event) => this._onKey(event));
    new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
    this.resize();
  }

  _light() {
    this.scene.add(this.camera, new THREE.HemisphereLight(0xffffff, 0xb8b0a4, 1.3));
    for (const [place, strength] of [[[-0.5, 0.7, 1], 1.5], [[0.9, -0.2, 0.9], 0.7]]) {
      const light = new THREE.DirectionalLight(0xffffff, strength);
      light.position.set(...place);
      this.camera.add(light, light.target); // beside the eye
    }
  }

  _part(part, buffer, order) {
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(points(buffer, part.mesh), 3));
    geometry.setIndex(new THREE.BufferAttribute(corners(buffer, part.mesh), 1));
    geometry.computeVertexNormals();
    geometry.computeBoundingBox();
    const material = new THREE.MeshPhongMaterial({
      color: part.color, side: THREE.DoubleSide, shininess: 12, specular: 0x222222 });
    const mesh = new THREE.Mesh(geometry, material);
    const caps = this._caps(geometry, part.color, order);
    this.scene.add(mesh, ...caps);
    const maps = new Map(part.maps.map((map) => [map.name, { map, values: values(buffer, map) }]));
    const made = { key: part.key, mesh, caps, maps, color: part.color };
    this._opacity(made, part.opacity);
    return made;
  }

  // What is cut is closed by a face: where more back faces than front faces lie behind the plane.
  _caps(geometry, color, order) {
    const count = (side, operation) => {
      const material = new THREE.MeshBasicMaterial({
        side, colorWrite: false, depthWrite: false, depthTest: false, clippingPlanes: [this.plane],
        stencilWrite: true, stencilFunc: THREE.AlwaysStencilFunc, stencilFail: operation,
        stencilZFail: operation, stencilZPass: operation });
      const mesh = new THREE.Mesh(geometry, material);
      mesh.renderOrder = 10 * order + 1;
      return mesh;
    };
    const face = new THREE.Mesh(
      new THREE.PlaneGeometry(800, 800),
      new THREE.MeshBasicMaterial({
        color: new THREE.Color(color).multiplyScalar(0.72), side: THREE.DoubleSide, stencilWrite: true,
        stencilRef: 0, stencilFunc: THREE.NotEqualStencilFunc, stencilFail: THREE.ReplaceStencilOp,
        stencilZFail: THREE.ReplaceStencilOp, stencilZPass: THREE.ReplaceStencilOp }));
    face.renderOrder = 10 * order + 2;
    face.onAfterRender = (renderer) => renderer.clearStencil();
    const caps = [
      count(THREE.BackSide, THREE.IncrementWrapStencilOp),
      count(THREE.FrontSide, THREE.DecrementWrapStencilOp), face];
    caps.forEach((cap) => (cap.visible = false));
    return caps;
  }

  _opacity(part, opacity) {
    const material = part.mesh.material;
    part.opacity = opacity;
    material.opacity = opacity;
    material.transparent = opacity < 1;
    material.depthWrite = opacity >= 1;
    material.needsUpdate = true;
    part.mesh.renderOrder = opacity < 1 ? 1000 : 0;
  }

  setOpacity(key, opacity) {
    this._opacity(this.parts.get(key), opacity);
    this.draw();
  }

  setVisible(key, visible) {
    const part = this.parts.get(key);
    part.mesh.visible = visible;
    part.caps.forEach((cap) => (cap.visible = visible && this.cutting));
    this.draw();
  }

  /** Colour every part that has the map `name` by it; null gives all their own colour again. */
  colorBy(name) {
    this.parts.forEach((part) => {
      const found = part.maps.get(name);
      const { geometry, material } = part.mesh;
      if (found) {
        const colors = new Float32Array(3 * found.values.length);
        const stops = stopsOf(found.map);
        const linear = new THREE.Color();
        found.values.forEach((value, k) => {
          linear.setRGB(...colorOf(found.map, value, stops), THREE.SRGBColorSpace);
          linear.toArray(colors, 3 * k);
        });
        geometry.setAttribute("color", new THREE.BufferAttribute(colors, 3));
      }
      material.vertexColors = Boolean(found);
      material.color.set(found ? 0xffffff : part.color);
      material.needsUpdate = true;
    });
    this.draw();
  }

  /** Take away what lies beyond `place` (mm) along the unit vector `normal`; null cuts nothing. */
  cut(normal, place) {
    this.cutting = normal !== null;
    if (this.cutting) {
      this.plane.normal.set(...normal).negate();
      this.plane.constant = place;
    }
    this.parts.forEach((part) => {
      part.mesh.material.clippingPlanes = this.cutting ? [this.plane] : null;
      part.mesh.material.needsUpdate = true;
      part.caps.forEach((cap) => (cap.visible = this.cutting && part.mesh.visible));
      const face = part.caps[2];
      this.plane.coplanarPoint(face.position);
      face.lookAt(face.position.clone().sub(this.plane.normal));
    });
    this.draw();
  }

  /** Return how far the scene reaches along a unit vector, [least, most], mm. */
  reach(normal) {
    const along = new THREE.Vector3(...normal);
    const ends = [];
    for (const x of ["min", "max"]) for (const y of ["min", "max"]) for (const z of ["min", "max"]) {
      ends.push(new THREE.Vector3(this.box[x].x, this.box[y].y, this.box[z].z).dot(along));
    }
    return [Math.min(...ends), Math.max(...ends)];
  }

  /** Look from a direction (LPS, from the middle to the eye) at the whole or at a place, so wide. */
  look(direction, place = null, width_mm = null) {
    const away = new THREE.Vector3(...direction).normalize();
    // Straight from above the third axis is no up; a little off it is.
    if (Math.abs(away.z) > 0.999) {
      away.y += 0.02;
      away.normalize();
    }
    const target = place ? new THREE.Vector3(...place) : this.middle.clone();
    const half = Math.tan((ANGLE_DEGREES * Math.PI) / 360);
    const distance = width_mm
      ? (MARGIN * width_mm) / 2 / half / Math.min(1, this.camera.aspect) : this._whole(away, half);
    this.controls.target.copy(target);
    this.camera.position.copy(target).addScaledVector(away, distance);
    this.controls.update();
    this.draw();
  }

  /** Return from how far along `away` all of the scene is seen; half: tangent of half the view's angle. */
  _whole(away, half) {
    const right = new THREE.Vector3().crossVectors(this.camera.up, away).normalize();
    const up = new THREE.Vector3().crossVectors(away, right);
    const point = new THREE.Vector3();
    let distance = 0;
    this.parts.forEach((part) => {
      const places = part.mesh.geometry.getAttribute("position");
      for (let k = 0; k < places.count; k++) {
        point.fromBufferAttribute(places, k).sub(this.middle);
        const beside = Math.max(Math.abs(point.dot(right)) / this.camera.aspect, Math.abs(point.dot(up)));
        distance = Math.max(distance, point.dot(away) + (MARGIN * beside) / half);
      }
    });
    return distance;
  }

  mark(place) {
    this.marker.visible = place !== null;
    if (place) {
      this.marker.position.set(...place);
    }
    this.draw();
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas.parentElement;
    if (!width || !height) {
      return;
    }
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio, 2));
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    this.draw();
  }

  draw() {
    const distance = this.camera.position.distanceTo(this.middle);
    this.camera.near = Math.max(distance - 400, 1);
    this.camera.far = distance + 400;
    this.camera.updateProjectionMatrix();
    this.renderer.render(this.scene, this.camera);
  }

  _onKey(event) {
    const turns = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const zooms = { "+": 0.9, "=": 0.9, "-": 1 / 0.9 };
    const offset = this.camera.position.clone().sub(this.controls.target);
    if (event.key in turns) {
      const [around, over] = turns[event.key];
      const polar = new THREE.Spherical().setFromVector3(
        new THREE.Vector3(offset.x, offset.z, -offset.y));
      polar.theta -= around * TURN;
      polar.phi = Math.min(Math.max(polar.phi + over * TURN, 0.02), Math.PI - 0.02);
      const turned = new THREE.Vector3().setFromSpherical(polar);
      offset.set(turned.x, -turned.z, turned.y);
    } else if (event.key in zooms) {
      offset.multiplyScalar(zooms[event.key]);
    } else {
      return;
    }
    event.preventDefault();
    this.camera.position.copy(this.controls.target).add(offset);
    this.controls.update();
    this.draw();
  }
}

function arrow(way) {
  const direction = new THREE.Vector3(...way.direction).normalize();
  const group = new THREE.Group();
  const material = new THREE.MeshPhongMaterial({ color: ARROW });
  const shaft = new THREE.Mesh(new THREE.CylinderGeometry(1.1, 1.1, 34, 20), material);
  const head = new THREE.Mesh(new THREE.ConeGeometry(3.4, 10, 28), material);
  shaft.position.y = 23;
  head.position.y = 45;
  group.add(shaft, head);
  group.quaternion.setFromUnitVectors(new THREE.Vector3(0, 1, 0), direction);
  group.position.set(...way.place_mm);
  return group;
}
