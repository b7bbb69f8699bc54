-- A queue's policies: how long ended tasks and events are kept, and, for partitioned queues, how partitions come and go.

-- get_queue_policy reads a queue's policies; no row for an unknown queue.
create function absurd.get_queue_policy(p_queue_name text)
returns table (queue_name text, storage_mode text, default_partition text, partition_lookahead interval, partition_lookback interval,
  cleanup_ttl interval, cleanup_limit integer, detach_mode text, detach_min_age interval)
language plpgsql
as $$
begin
  return query
    select q.queue_name, q.storage_mode, q.default_partition, q.partition_lookahead, q.partition_lookback, q.cleanup_ttl,
           q.cleanup_limit, q.detach_mode, q.detach_min_age
    from absurd.queues q
    where q.queue_name = p_queue_name;
end
$$;

-- interval_policy reads one interval of a policy document, which must not be negative; null if it is not given.
create function absurd.interval_policy(p_policy jsonb, p_key text) returns interval
language plpgsql immutable
as $$
declare
  v_value interval;
begin
  begin
    v_value := btrim(p_policy ->> p_key)::interval;
  exception when others then
    raise exception 'policy %: % is not an interval', p_key, p_policy -> p_key;
  end;
  if v_value < interval '0' then
    raise exception 'policy %: % is negative', p_key, p_policy -> p_key;
  end if;
  return v_value;
end
$$;

-- word_policy reads one policy that is a word out of a list; null if it is not given.
create function absurd.word_policy(p_policy jsonb, p_key text, p_words text[]) returns text
language plpgsql immutable
as $$
declare
  v_value text := lower(btrim(p_policy ->> p_key));
begin
  if v_value <> all (p_words) then
    raise exception 'policy %: % is not one of %', p_key, p_policy -> p_key, array_to_string(p_words, ', ');
  end if;
  return v_value;
end
$$;

-- set_queue_policy changes those policies of a queue that the document names; all of them, or none where one value is refused. With
-- default_partition the default partitions of a partitioned queue are dropped, which is refused while one holds rows, or made.
create function absurd.set_queue_policy(p_queue_name text, p_policy jsonb) returns void
language plpgsql
as $$
declare
  v_queue   absurd.queues;
  v_unknown text;
  v_limit   numeric;
  v_default text;
begin
  perform absurd.require_all_tenants('change the policies of a queue');
  perform absurd.validate_queue_name(p_queue_name);
  select q.* into v_queue from absurd.queues q where q.queue_name = p_queue_name;
  if not found then
    raise exception 'queue "%" does not exist', p_queue_name;
  end if;
  if p_policy is null then
    return;
  end if;
  if jsonb_typeof(p_policy) <> 'object' then
    raise exception 'the policy of queue "%" must be a json object, not %', p_queue_name, jsonb_typeof(p_policy);
  end if;
  select k into v_unknown from jsonb_object_keys(p_policy) k
  where k not in ('partition_lookahead', 'partition_lookback', 'cleanup_ttl', 'cleanup_limit', 'detach_mode', 'detach_min_age',
                  'default_partition');
  if found then
    raise exception 'policy % is unknown', v_unknown;
  end if;
  perform absurd.check_number_option(p_policy, 'cleanup_limit', 1, true);
  v_limit := absurd.number_option(p_policy, 'cleanup_limit');
  v_default := absurd.word_policy(p_policy, 'default_partition', array['enabled', 'disabled']);
  if v_default is not null and v_queue.storage_mode = 'unpartitioned' then
    raise exception 'policy default_partition: queue "%" is not partitioned', p_queue_name;
  end if;

  if v_default = 'disabled' then
    perform absurd.lock_default_partitions(p_queue_name, v_queue.queue_no); -- before the row of the queue, for which others wait
  end if;
  update absurd.queues q
  set partition_lookahead = coalesce(absurd.interval_policy(p_policy, 'partition_lookahead'), q.partition_lookahead),
      partition_lookback = coalesce(absurd.interval_policy(p_policy, 'partition_lookback'), q.partition_lookback),
      cleanup_ttl = coalesce(absurd.interval_policy(p_policy, 'cleanup_ttl'), q.cleanup_ttl),
      detach_min_age = coalesce(absurd.interval_policy(p_policy, 'detach_min_age'), q.detach_min_age),
      cleanup_limit = coalesce(v_limit::integer, q.cleanup_limit),
      detach_mode = coalesce(absurd.word_policy(p_policy, 'detach_mode', array['none', 'empty']), q.detach_mode),
      default_partition = coalesce(v_default, q.default_partition)
  where q.queue_name = p_queue_name;
  if v_default is not null then
    perform absurd.set_default_partitions(p_queue_name, v_queue.queue_no, v_default);
  end if;
end
$$;
