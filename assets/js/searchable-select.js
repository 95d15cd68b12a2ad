// A select of hundreds of options becomes a field that is searched: the pattern "combobox with list" of the ARIA
// practices. The select stays behind it, holds the value and says when it changes.
import { find } from './dom.js'
import { addZones } from './zones.js'

const MOST = 100 // options on the screen at once; typing narrows them
const MARKS = /\p{M}/gu

let number = 0

const folded = (text) => text.normalize('NFKD').replace(MARKS, '').toLowerCase()

// Every word somewhere in the title; titles with the words as they stand come first.
function matching(select, words) {
  const phrase = folded(words).trim()
  const wanted = phrase.split(/\s+/)
  const lacks = ({ text }) => !folded(text).includes(phrase)
  const found = [...select.options].filter(({ text }) => wanted.every((word) => folded(text).includes(word)))
  return [...found.filter((option) => !lacks(option)), ...found.filter(lacks)]
}

class SearchableSelect {
  constructor(select) {
    this.select = select
    this.words = null // what the list is open for
    this.list = Object.assign(document.createElement('ul'), { className: 'options', hidden: true })
    this.list.id = `options-${++number}`
    this.list.setAttribute('role', 'listbox')
    this.list.setAttribute('aria-label', select.dataset.searched)
    this.field = Object.assign(document.createElement('input'), {
      className: 'field', type: 'text', autocomplete: 'off', id: `${select.id}-search`,
    })
    const label = [...select.labels].find(({ htmlFor }) => htmlFor)
    if (label) label.htmlFor = this.field.id
    const attributes = {
      role: 'combobox', 'aria-expanded': 'false', 'aria-controls': this.list.id, 'aria-autocomplete': 'list',
      ...(label ? {} : { 'aria-label': select.dataset.searched }),
    }
    Object.entries(attributes).forEach(([name, value]) => this.field.setAttribute(name, value))
    this.listen()
    this.field.required = select.required // what is hidden could not say that it is missing
    select.required = false
    select.hidden = true
    select.parentElement.classList.add('searched')
    select.after(this.field, this.list)
    this.showChosen()
  }

  listen() {
    const { field, list, select } = this
    field.addEventListener('focus', () => {
      field.select()
      this.complete()
    })
    field.addEventListener('click', () => this.open(''))
    field.addEventListener('input', (event) => {
      event.stopPropagation()
      this.open(field.value)
    })
    field.addEventListener('change', (event) => event.stopPropagation())
    field.addEventListener('blur', () => this.close())
    field.addEventListener('keydown', (event) => this.key(event))
    list.addEventListener('pointerdown', (event) => event.preventDefault()) // the field keeps the focus
    list.addEventListener('click', (event) => {
      const option = event.target.closest('[role=option]')
      if (option) this.choose(option.dataset.value)
    })
    select.addEventListener('change', () => this.showChosen())
  }

  showChosen() {
    const { text = '', value = '' } = this.select.selectedOptions[0] ?? {}
    const isMissing = this.field.required && !value
    this.field.value = isMissing ? '' : text
    this.field.placeholder = isMissing ? text : ''
  }

  complete() {
    return (this.completed ??= this.select.dataset.zones ? addZones(this.select) : Promise.resolve())
  }

  async open(words) {
    this.words = words
    await this.complete()
    if (this.words === words) this.show(words) // neither left nor typed on meanwhile
  }

  show(words) {
    const found = matching(this.select, words)
    const chosen = found.findIndex(({ selected }) => selected)
    if (chosen >= MOST) found.splice(1, 0, ...found.splice(chosen, 1))
    found.length = Math.min(found.length, MOST)
    const options = found.map((option, at) => {
      const id = `${this.list.id}-${at}`
      const line = Object.assign(document.createElement('li'), { textContent: option.text, id })
      line.setAttribute('role', 'option')
      line.setAttribute('aria-selected', String(option.selected))
      line.dataset.value = option.value
      return line
    })
    const none = Object.assign(document.createElement('li'), { className: 'none' })
    none.textContent = this.select.dataset.none
    none.setAttribute('role', 'option')
    none.setAttribute('aria-disabled', 'true')
    this.list.replaceChildren(...(options.length ? options : [none]))
    this.list.hidden = false
    this.field.setAttribute('aria-expanded', 'true')
    this.mark(words ? options[0] : options.find((line) => line.getAttribute('aria-selected') === 'true'))
  }

  close() {
    this.words = null
    this.list.hidden = true
    this.field.setAttribute('aria-expanded', 'false')
    this.mark(null)
    this.showChosen()
  }

  mark(line) {
    find('.is-active', this.list)?.classList.remove('is-active')
    if (!line?.dataset.value && line?.dataset.value !== '') return this.field.removeAttribute('aria-activedescendant')
    line.classList.add('is-active')
    line.scrollIntoView({ block: 'nearest' })
    this.field.setAttribute('aria-activedescendant', line.id)
  }

  step(by) {
    if (this.words === null) return this.open('')
    const lines = [...this.list.children]
    const at = lines.indexOf(find('.is-active', this.list))
    this.mark(lines[(at + by + lines.length) % lines.length])
  }

  // What was typed before the options came counts once they are there.
  async chooseMarked() {
    await this.complete()
    const active = find('.is-active', this.list)
    if (active) this.choose(active.dataset.value)
  }

  key(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1 }
    if (event.key in steps) this.step(steps[event.key])
    else if (event.key === 'Enter' && this.words !== null) this.chooseMarked()
    else if (event.key === 'Escape' && this.words !== null) this.close()
    else return
    event.preventDefault()
    event.stopPropagation()
  }

  choose(value) {
    const changed = this.select.value !== value
    this.select.value = value
    this.close()
    if (changed) this.select.dispatchEvent(new Event('change', { bubbles: true }))
  }
}

export function makeSearchable(selects) {
  selects.filter((select) => !select.hidden).forEach((select) => new SearchableSelect(select))
}
