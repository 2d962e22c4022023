// Arrays: from base64 to numbers, between positions and flat indices, and numbers as text.
"use strict";

const HALF = new Float32Array(65536);  // the value of every 16-bit float
for (let bits = 0; bits < 65536; bits++) {
  const exponent = (bits >> 10) & 31, fraction = bits & 1023;
  const size = exponent === 0 ? fraction * 2 ** -24
    : exponent === 31 ? (fraction ? NaN : Infinity) : (1 + fraction / 1024) * 2 ** (exponent - 15);
  HALF[bits] = bits & 32768 ? -size : size;
}

// Return the numbers of a stored array; kind is f2, f4 or i4, little endian.
function decode(kind, text) {
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  if (kind === "f4") return new Float32Array(bytes.buffer);
  if (kind === "i4") return new Int32Array(bytes.buffer);
  const halves = new Uint16Array(bytes.buffer), values = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) values[i] = HALF[halves[i]];
  return values;
}

const product = shape => shape.reduce((a, b) => a * b, 1);

// Return the position of a flat index, rows before columns before channels.
function unravel(index, shape) {
  const at = new Array(shape.length);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    at[axis] = index % shape[axis];
    index = Math.floor(index / shape[axis]);
  }
  return at;
}

const ravel = (at, shape) => at.reduce((index, i, axis) => index * shape[axis] + i, 0);

// Return the function from a flat index of `shape` to that of the element of `small` that is broadcast there.
function broadcast(small, shape) {
  const count = product(small);
  if (count === product(shape)) return i => i;
  if (count === 1) return () => 0;
  const tail = shape.slice(shape.length - small.length);
  if (small.every((n, axis) => n === tail[axis])) return i => i % count;
  return i => unravel(i, shape).slice(shape.length - small.length)
    .reduce((index, at, axis) => index * small[axis] + (small[axis] === 1 ? 0 : at), 0);
}

// Return a number with five digits, as short as it can be: 0.25, 1.2346e-7, -3.
function show(value) {
  if (value === 0 || !isFinite(value)) return String(value);
  const text = Math.abs(value) < 1e-4 ? value.toExponential(4) : value.toPrecision(5), [digits, power] = text.split("e");
  const short = digits.includes(".") ? digits.replace(/0+$/, "").replace(/\.$/, "") : digits;
  return power === undefined ? short : short + "e" + Number(power);
}

// Return how to draw an array with any number of axes: as images with rows, columns and channels.
function pictureOf(shape) {
  if (shape.length === 4) return { images: shape[0], rows: shape[1], columns: shape[2], channels: shape[3], size: product(shape.slice(1)) };
  const images = shape.length === 2 ? shape[0] : 1, size = product(shape) / images;
  const columns = Math.ceil(Math.sqrt(size));
  return { images, rows: Math.ceil(size / columns), columns, channels: 1, size };
}

// Return the flat index of a pixel of a picture, or -1 if there is none: the last row of a vector may be short.
function indexIn(picture, image, row, column, channel) {
  const inside = (row * picture.columns + column) * picture.channels + channel;
  return row < 0 || column < 0 || row >= picture.rows || column >= picture.columns || inside >= picture.size
    ? -1 : image * picture.size + inside;
}

function pixelOf(picture, index) {
  const image = Math.floor(index / picture.size), inside = index % picture.size;
  const channel = inside % picture.channels, pixel = (inside - channel) / picture.channels;
  return { image, row: Math.floor(pixel / picture.columns), column: pixel % picture.columns, channel };
}

// Smallest, largest, mean and standard deviation of every step-th number from start to end.
function rangeOf(values, start = 0, end = values.length, step = 1) {
  let low = Infinity, high = -Infinity, sum = 0, squares = 0, count = 0;
  for (let i = start; i < end; i += step) {
    const v = values[i];
    if (v < low) low = v;
    if (v > high) high = v;
    sum += v; squares += v * v; count++;
  }
  const mean = sum / count;
  return { low, high, mean, std: Math.sqrt(Math.max(0, squares / count - mean * mean)), count };
}
