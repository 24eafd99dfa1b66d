import photoAddress from "./photo.webp";

export const BACKGROUNDS = ["checker", "black", "white", "grey", "photo"] as const;
/** One of the usual ones, or a colour such as `#ff8800`. */
export type Background = (typeof BACKGROUNDS)[number] | `#${string}`;
/** What of the image is shown: all, its alpha alone, or its edges. */
export type Layer = "image" | "alpha" | "fringe";

export interface View {
  readonly background: Background;
  readonly layer: Layer;
}

const COLOURS: Readonly<Partial<Record<Background, string>>> = { black: "#000", white: "#fff", grey: "#808080" };
/** The same in both themes: a verdict must not depend on one's taste in pages. */
const CHECKER = ["#c9c9c9", "#f4f4f4"] as const;
const CHECKER_PX = 10;
let photo: ImageBitmap | null = null;

export async function loadPhoto(): Promise<void> {
  photo = await createImageBitmap(await (await fetch(photoAddress)).blob());
}

export function nextBackground(background: Background): Background {
  return BACKGROUNDS[((BACKGROUNDS as readonly Background[]).indexOf(background) + 1) % BACKGROUNDS.length]!;
}

export interface Area {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Paints an image into an area of a canvas, in the canvas's own pixels. */
export function paint(
  context: CanvasRenderingContext2D,
  bitmap: ImageBitmap,
  view: View,
  area: Area,
  options: { readonly pixelated: boolean; readonly density: number },
): void {
  context.save();
  context.beginPath();
  context.rect(area.x, area.y, area.width, area.height);
  context.clip();
  paintBackground(context, view.layer === "image" ? view.background : "black", area, options.density);
  context.imageSmoothingEnabled = !options.pixelated;
  context.imageSmoothingQuality = "high";
  const source = view.layer === "image" ? bitmap : inspected(bitmap, view.layer);
  context.drawImage(source, area.x, area.y, area.width, area.height);
  context.restore();
}

function paintBackground(
  context: CanvasRenderingContext2D,
  background: Background,
  area: Area,
  density: number,
): void {
  if (background === "photo" && photo !== null) {
    const scale = Math.max(area.width / photo.width, area.height / photo.height);
    const [width, height] = [photo.width * scale, photo.height * scale];
    const [x, y] = [area.x + (area.width - width) / 2, area.y + (area.height - height) / 2];
    context.drawImage(photo, x, y, width, height);
    return;
  }
  if (background !== "checker") {
    context.fillStyle = background === "photo" ? "#6b7f5e" : (COLOURS[background] ?? background);
    context.fillRect(area.x, area.y, area.width, area.height);
    return;
  }
  context.fillStyle = CHECKER[0];
  context.fillRect(area.x, area.y, area.width, area.height);
  context.fillStyle = CHECKER[1];
  const side = CHECKER_PX * density;
  for (let row = 0; row * side < area.height; row++) {
    for (let column = row % 2; column * side < area.width; column += 2) {
      context.fillRect(area.x + column * side, area.y + row * side, side, side);
    }
  }
}

const made = new WeakMap<ImageBitmap, Map<Layer, OffscreenCanvas>>();

/** An opaque image that shows alpha or edges; made once for each. */
function inspected(bitmap: ImageBitmap, layer: Exclude<Layer, "image">): OffscreenCanvas {
  const known = made.get(bitmap) ?? new Map<Layer, OffscreenCanvas>();
  made.set(bitmap, known);
  const found = known.get(layer);
  if (found !== undefined) return found;
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  context.drawImage(bitmap, 0, 0);
  const pixels = context.getImageData(0, 0, bitmap.width, bitmap.height);
  (layer === "alpha" ? showAlpha : showFringe)(pixels.data);
  context.putImageData(pixels, 0, 0);
  known.set(layer, canvas);
  return canvas;
}

function showAlpha(data: Uint8ClampedArray): void {
  for (let at = 0; at < data.length; at += 4) {
    data[at] = data[at + 1] = data[at + 2] = data[at + 3]!;
    data[at + 3] = 255;
  }
}

/** Alpha from 1 to this, and as near below opaque, is dirt: `NOISE_THRESHOLD` of pellucid.rgba.defects. */
const DIRT = 8;

/**
 * Shows the colour of partly transparent pixels at full strength, so that dark or light seams stand out; the rest is
 * dimmed. Haze next to nothing is magenta, holes next to opaque are cyan.
 */
function showFringe(data: Uint8ClampedArray): void {
  for (let at = 0; at < data.length; at += 4) {
    const alpha = data[at + 3]!;
    if (alpha === 0) {
      data.set([16, 16, 20], at);
    } else if (alpha <= DIRT) {
      data.set([255, 0, 200], at);
    } else if (alpha === 255) {
      const grey = (data[at]! + data[at + 1]! + data[at + 2]!) / 12 + 24;
      data.set([grey, grey, grey], at);
    } else if (alpha >= 255 - DIRT) {
      data.set([0, 200, 255], at);
    }
    data[at + 3] = 255;
  }
}
