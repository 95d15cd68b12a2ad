// Bundles assets/ into b24app/static/dist under content-hashed names, puts each file's compressed forms beside it
// (b24app/web/compression.py serves them), writes manifest.json for the asset() helper, and fails if what loads before
// the first paint exceeds its budget.
import { build, context } from 'esbuild'
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const outdir = 'b24app/static/dist'
const builds = [['app.js', 'app.css', 'img/icon.svg'], ['install.js']]
const entries = builds.flat()
const budgets = { 'app.js': 20, 'install.js': 20, 'app.css': 9 } // kilobytes, gzipped, with all that loads at once

function staticGraph(outputs, file, seen = new Set()) {
  if (seen.has(file)) return seen
  seen.add(file)
  const loadedAtOnce = outputs[file].imports.filter((i) => i.kind === 'import-statement' && !i.external)
  loadedAtOnce.forEach((i) => staticGraph(outputs, i.path, seen))
  return seen
}

const mostly = { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } }
const forms = { br: (whole) => brotliCompressSync(whole, mostly), gz: (whole) => gzipSync(whole, { level: 9 }) }

function compressAll() {
  const files = readdirSync(outdir)
  files.filter((name) => /\.(br|gz)$/.test(name)).forEach((name) => rmSync(`${outdir}/${name}`)) // of the build before
  for (const name of files.filter((name) => /\.(js|css|svg|txt)$/.test(name))) {
    const whole = readFileSync(`${outdir}/${name}`)
    for (const [ending, compress] of Object.entries(forms)) {
      const small = compress(whole)
      if (small.length < whole.length) writeFileSync(`${outdir}/${name}.${ending}`, small)
    }
  }
}

const size = (files) => [...files].reduce((sum, file) => sum + gzipSync(readFileSync(file)).length, 0) / 1024

// What app.js and a bundle that is fetched later both need would become a file of its own for each set of bundles that
// share it: half a dozen small files, asked for only once app.js has come. So each of these bundles names app.js, which
// is there already when they come, and all of it stays one file.
const oneFile = {
  name: 'one-file',
  setup(bundle) {
    bundle.onLoad({ filter: /assets\/js\/(calendar|later|schedule|sdk)\.js$/ }, async ({ path }) => ({
      contents: `${await readFile(path, 'utf8')}\nimport '../app.js'\n`, loader: 'js',
    }))
  },
}

// An entry that does nothing but import one file is left out: the page asks for that file.
function withoutDetour(outputs, file) {
  const { inputs, imports } = outputs[file]
  if (Object.keys(inputs).length || imports.length !== 1) return file
  rmSync(file)
  return imports[0].path
}

const names = {}
const manifest = {
  name: 'manifest',
  setup(bundle) {
    bundle.onEnd(({ metafile, errors }) => {
      if (errors.length) return
      for (const [entry, out] of Object.entries(metafile.outputs)) {
        const name = out.entryPoint?.replace('assets/', '')
        if (!entries.includes(name) || (name.endsWith('.svg') && entry.endsWith('.js'))) continue
        const file = withoutDetour(metafile.outputs, entry)
        names[name] = file.replace('b24app/static/', '')
        const kilobytes = size(staticGraph(metafile.outputs, file))
        const budget = budgets[name]
        console.log(`${name.padEnd(14)} ${kilobytes.toFixed(1).padStart(5)} KB gz${budget ? ` of ${budget}` : ''}`)
        if (kilobytes > budget) process.exitCode = 1
      }
      compressAll()
      writeFileSync(`${outdir}/manifest.json`, JSON.stringify(names, null, 2) + '\n')
      if (process.exitCode) console.error('What loads before the first paint exceeds its budget.')
    })
  },
}

const options = (entryPoints) => ({
  entryPoints: entryPoints.map((name) => `assets/${name}`),
  bundle: true, splitting: true, format: 'esm', target: 'es2022', minify: true, outdir, metafile: true,
  entryNames: '[name]-[hash]', chunkNames: '[name]-[hash]', assetNames: '[name]-[hash]',
  loader: { '.svg': 'copy' }, legalComments: 'linked', logLevel: 'warning',
  plugins: [...(entryPoints.includes('app.js') ? [oneFile] : []), manifest],
})

rmSync(outdir, { recursive: true, force: true })
for (const entryPoints of builds) {
  if (process.argv.includes('--watch')) await (await context(options(entryPoints))).watch()
  else await build(options(entryPoints))
}
