import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

const PATHS = {
  check: "M5 12.5l4.5 4.5L19 7.5",
  cross: "M6 6l12 12M18 6L6 18",
  undo: "M9 7L4.5 11.5 9 16M5 11.5h9a5 5 0 010 10h-2",
  single: "M5 5h14v14H5z",
  grid: "M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h6v6h-6z",
  scales: "M12 4v16M7 20h10M5 7h14M5 7l-2.5 6h5zM19 7l-2.5 6h5z",
  history: "M12 7v5l3.5 2M4.5 9A8 8 0 114 12M4 5v4h4",
  keyboard: "M3 7h18v11H3zM7 11h.01M11 11h.01M15 11h.01M8 15h8",
  sun: "M12 8a4 4 0 100 8 4 4 0 000-8zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4",
  moon: "M19.5 14.5A8 8 0 019.5 4.5a8 8 0 1010 10z",
  contrast: "M12 4a8 8 0 100 16 8 8 0 000-16zM12 4v16",
  zoom: "M10.5 4.5a6 6 0 100 12 6 6 0 000-12zM15 15l5 5M8 10.5h5M10.5 8v5",
  background: "M4 4h16v16H4zM4 12h16M12 4v16",
  alpha: "M12 3.5S6 10 6 14.5a6 6 0 0012 0C18 10 12 3.5 12 3.5z",
  fringe: "M4 18c4 0 3-12 8-12s4 12 8 12M4 21h16",
  person: "M12 4a4 4 0 100 8 4 4 0 000-8zM4.5 20.5a7.5 7.5 0 0115 0",
  cloud: "M7 18.5a4.5 4.5 0 01-.5-8.9 6 6 0 0111.3 1.2 3.9 3.9 0 01-.3 7.7z",
  layers: "M12 3.5l8.5 4.7L12 13 3.5 8.2zM4 12.5l8 4.5 8-4.5M4 16.5l8 4.5 8-4.5",
} as const;
export type IconName = keyof typeof PATHS;

export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

interface ButtonProps {
  readonly label: string;
  readonly onPress: () => void;
  readonly icon?: IconName;
  /** Key that does the same. */
  readonly hint?: string | undefined;
  /** Whether the label is for screen readers and the pointer's tip alone. */
  readonly quiet?: boolean;
  readonly pressed?: boolean;
  readonly disabled?: boolean;
  readonly kind?: "plain" | "keep" | "reject" | "primary";
  readonly className?: string;
}

/** A button. A pointer leaves the focus where it is, so that Space goes on meaning what it meant. */
export function Button(props: ButtonProps) {
  const { label, onPress, icon, hint, quiet = false, pressed, disabled = false, kind = "plain" } = props;
  return (
    <button
      type="button"
      class={`button ${kind} ${quiet ? "quiet" : ""} ${props.className ?? ""}`}
      title={hint === undefined ? (quiet ? label : undefined) : `${label} (${hint})`}
      aria-label={quiet ? label : undefined}
      aria-pressed={pressed}
      disabled={disabled}
      onPointerDown={(event) => event.preventDefault()}
      onClick={onPress}
    >
      {icon !== undefined && <Icon name={icon} />}
      {!quiet && <span>{label}</span>}
      {!quiet && hint !== undefined && <kbd aria-hidden="true">{hint}</kbd>}
    </button>
  );
}

interface SegmentedProps<Value extends string> {
  readonly label: string;
  readonly value: Value;
  readonly options: readonly { readonly value: Value; readonly label: string; readonly icon?: IconName }[];
  readonly onChange: (value: Value) => void;
}

/** A choice of one among few. */
export function Segmented<Value extends string>({ label, value, options, onChange }: SegmentedProps<Value>) {
  return (
    <div class="segmented" role="group" aria-label={label}>
      {options.map((option) => (
        <Button
          key={option.value}
          label={option.label}
          {...(option.icon === undefined ? {} : { icon: option.icon })}
          pressed={option.value === value}
          onPress={() => onChange(option.value)}
        />
      ))}
    </div>
  );
}

interface DialogProps {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}

/** A dialog of the browser's own: it holds the focus, Esc closes it, and the focus returns. */
export function Dialog({ title, onClose, children }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = element.current!;
    dialog.showModal();
    return () => dialog.close();
  }, []);
  return (
    <dialog
      ref={element}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => event.target === element.current && onClose()}
    >
      <div class="dialog-body">
        <header>
          <h2>{title}</h2>
          <Button label="Close" icon="cross" quiet onPress={onClose} />
        </header>
        {children}
      </div>
    </dialog>
  );
}
