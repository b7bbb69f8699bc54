package runtime

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/absurdgen/absurdgen/workflow"
)

// effects is the outside world of a test: a table to which steps write, through a pool that the runtime knows nothing of.
type effects struct{ pool *pgxpool.Pool }

const effectsTable = `create table public.effects (
	id bigint generated always as identity primary key, key text not null, step text not null, process text not null, note text not null)`

// happen notes an effect of the running step. It returns the number of the effect, which no other has.
func (e effects) happen(ctx context.Context, process, note string) (id int64, err error) {
	info, _ := workflow.InfoOf(ctx)
	err = e.pool.QueryRow(context.WithoutCancel(ctx),
		`insert into public.effects (key, step, process, note) values ($1, $2, $3, $4) returning id`,
		workflow.IdempotencyKey(ctx), info.Step, process, note).Scan(&id)
	return id, err
}

// newEffects makes the table in the test's database, and has it noted when a record is overwritten or removed.
func (r *rig) newEffects() effects {
	r.Helper()
	r.exec(effectsTable)
	r.exec(`create table public.overwritten (name text)`)
	r.exec(`create function public.note_overwritten() returns trigger language plpgsql as $$
		begin
			insert into public.overwritten values (old.checkpoint_name);
			return coalesce(new, old);
		end $$`)
	r.exec(`create trigger note_overwritten before update or delete on absurd.checkpoints
		for each row when (old.outcome <> 'n') execute function public.note_overwritten()`)
	pool, err := pgxpool.New(r.ctx, r.dsn)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(pool.Close)
	return effects{pool}
}

// noted returns how often a process has noted an effect.
func (r *rig) noted(process, note string) int {
	r.Helper()
	return one[int](r, `select count(*) from public.effects where process = $1 and note = $2`, process, note)
}
