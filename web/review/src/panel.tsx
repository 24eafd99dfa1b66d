import type { ReviewSession } from "./session.ts";

/** How far the round is, and how fast one judges. */
export function Panel({ session }: { readonly session: ReviewSession }) {
  const { progress } = session;
  if (progress === null) return null;
  const { counts, goal, pace } = progress;
  const { keep = 0, reject = 0, open = 0, disputed = 0 } = counts;
  const share = keep + reject > 0 ? `${Math.round((100 * keep) / (keep + reject))} %` : "–";
  const hours = pace.per_hour > 0 ? open / pace.per_hour : 0;
  return (
    <section class="panel" aria-label="Pace">
      <h2>Round</h2>
      <div class="goal">
        <progress value={Math.min(keep, goal)} max={Math.max(1, goal)} aria-label="Kept, of the goal" />
        <p>
          <b>{keep.toLocaleString()}</b> kept of {goal.toLocaleString()} wanted
        </p>
      </div>
      <dl>
        <dt>Rejected</dt>
        <dd>{reject.toLocaleString()}</dd>
        <dt>Kept share</dt>
        <dd>{share}</dd>
        <dt>Disputed</dt>
        <dd>{disputed.toLocaleString()}</dd>
        <dt>Left</dt>
        <dd>{open.toLocaleString()}</dd>
      </dl>
      <h2>Your pace</h2>
      <dl>
        <dt>An hour</dt>
        <dd>{pace.per_hour > 0 ? Math.round(pace.per_hour).toLocaleString() : "–"}</dd>
        <dt>Median look</dt>
        <dd>{pace.verdicts > 0 ? `${(pace.median_dwell_ms / 1000).toFixed(2)} s` : "–"}</dd>
        <dt>Time left</dt>
        <dd>{hours > 0 ? duration(hours) : "–"}</dd>
      </dl>
      {session.hasty && (
        <p class="warning" role="alert">
          The last verdicts took less than 0.15 s each. That is faster than anybody sees.
        </p>
      )}
    </section>
  );
}

function duration(hours: number): string {
  const minutes = Math.max(1, Math.round(hours * 60));
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
