// Compiles each file that `omma kernels` wrote, as scripts/browser.sh calls it.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, globals } from 'webgpu';

Object.assign(globalThis, globals);
const folder = process.argv[2];
// Dawn ends the process when this is collected, so it has a name.
const gpu = create(['backend=null']);
const adapter = await gpu.requestAdapter();
const device = await adapter.requestDevice();
// A browser is given no kernel with subgroups, and none with more textures than its limit.
const suits = (code) =>
  !code.includes('subgroupShuffle(') &&
  (code.match(/: texture_storage_2d/g) ?? []).length <= device.limits.maxStorageTexturesPerShaderStage;

let [passed, failed, left] = [0, 0, 0];
for (const name of readdirSync(folder).sort()) {
  const code = readFileSync(join(folder, name), 'utf8');
  if (!suits(code)) {
    left += 1;
    continue;
  }
  const { entry, constants } = JSON.parse(code.slice('// '.length, code.indexOf('\n')));
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ code });
  device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: entry, constants } });
  const error = await device.popErrorScope();
  if (error) console.log(`FAIL ${name}: ${error.message}`);
  error ? (failed += 1) : (passed += 1);
}
console.log(`${passed} passed, ${failed} failed, ${left} left out that no browser gets`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
