package runtime

import (
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/absurdgen/absurdgen/db"
)

// createQueue makes a queue: a partitioned one if ABSURD_TEST_PARTITIONED, a list with commas, has its name. So all tests of this
// package, and those of relatives in two queues, can be run on other storage too.
func (r *rig) createQueue(name string) {
	r.Helper()
	partitioned := os.Getenv("ABSURD_TEST_PARTITIONED")
	if !slices.Contains(strings.Split(partitioned, ","), name) {
		if err := r.client.CreateQueue(r.ctx, name); err != nil {
			r.Fatal(err)
		}
	} else if err := db.New().CreateQueueWithStorage(r.ctx, r.pool, db.CreateQueueWithStorageParams{Queue: name, StorageMode: "partitioned"}); err != nil {
		r.Fatal(err)
	}
	if partitioned == "" {
		return
	}
	r.exec(`create schema if not exists everywhere`)
	r.exec(`do $$ declare v_table text; begin
		for v_table in select table_name from absurd.partitioned_tables() loop
			execute (
				select format('create or replace view everywhere.%I as ', v_table) || string_agg(format('select %s from %I.%I', c.columns, s.schema, v_table), ' union all ')
				from (select string_agg(quote_ident(attname), ', ' order by attnum) as columns from pg_attribute
				      where attrelid = ('absurd.' || v_table)::regclass and attnum > 0 and not attisdropped) c,
				     (select 'absurd' as schema union all select absurd.storage_schema(queue_no) from absurd.queues where queue_no < 0) s);
		end loop;
	end $$`)
}

var storedTables = regexp.MustCompile(`\babsurd\.(tasks|runs|checkpoints|waits)\b`)

// everywhere lets a query that names the engine's tables see also those of partitioned queues, but not where their rows stand.
func everywhere(sql string) string {
	if os.Getenv("ABSURD_TEST_PARTITIONED") == "" {
		return sql
	}
	sql = regexp.MustCompile(`\w\.(ctid|xmin), `).ReplaceAllString(sql, "")
	return storedTables.ReplaceAllString(sql, "everywhere.$1")
}
