-- Options that arrive as JSON: what may be in them, and what the engine reads from them.

-- number_option reads a number, or a text that is one; null if there is none. It raises for nothing that jsonb can hold.
create function absurd.number_option(p_options jsonb, p_key text) returns numeric
language sql immutable parallel safe
as $$
  select case
    when jsonb_typeof(p_options -> p_key) = 'number' then (p_options -> p_key)::numeric
    when jsonb_typeof(p_options -> p_key) = 'string'
         and p_options ->> p_key ~ '^\s*[-+]?\d{1,100}(\.\d{0,100})?\s*$' then (p_options ->> p_key)::numeric
  end
$$;

-- seconds_option reads a number of seconds as number_option does, within 0 and ten years.
create function absurd.seconds_option(p_options jsonb, p_key text) returns float8
language sql immutable parallel safe
as $$
  select case when n.number is not null then round(least(greatest(n.number, 0), 315360000), 6)::float8 end
  from (select absurd.number_option(p_options, p_key) as number) n
$$;

-- check_number_option raises unless the option is absent, null, or a number of at least p_least; whole, if p_whole. What it lets
-- pass can never make a later call raise.
create function absurd.check_number_option(p_options jsonb, p_key text, p_least integer, p_whole boolean) returns void
language plpgsql immutable
as $$
declare
  v_number numeric := absurd.number_option(p_options, p_key);
begin
  if coalesce(jsonb_typeof(p_options -> p_key), 'null') = 'null' then
    return;
  end if;
  if v_number is null or p_whole and v_number <> trunc(v_number) then
    raise exception 'option % must be a%number', p_key, case when p_whole then ' whole ' else ' ' end
      using errcode = 'invalid_text_representation';
  end if;
  if v_number < p_least then
    raise exception 'option % must be at least %', p_key, p_least;
  end if;
  if v_number > 2147483647 then
    raise exception 'option % must be at most 2147483647', p_key;
  end if;
end
$$;

-- check_task_options raises for options of spawn_task that could raise in a later call. Unknown keys are no error.
create function absurd.check_task_options(p_max_attempts jsonb, p_retry_strategy jsonb, p_cancellation jsonb) returns void
language plpgsql immutable
as $$
begin
  perform absurd.check_number_option(p_max_attempts, 'max_attempts', 1, true);
  perform absurd.check_number_option(p_retry_strategy, 'base_seconds', 0, false);
  perform absurd.check_number_option(p_retry_strategy, 'factor', 0, false);
  perform absurd.check_number_option(p_retry_strategy, 'max_seconds', 0, false);
  perform absurd.check_number_option(p_cancellation, 'max_delay', 0, true);
  perform absurd.check_number_option(p_cancellation, 'max_duration', 0, true);
end
$$;

-- check_name raises for a name that is blank, or too long for an index entry.
create function absurd.check_name(p_what text, p_name text) returns void
language plpgsql immutable
as $$
begin
  if p_name is null or btrim(p_name, E' \t\r\n') = '' then
    raise exception '% must not be blank', p_what;
  end if;
  if octet_length(p_name) > 2000 then
    raise exception '% has % bytes; at most 2000 are allowed', p_what, octet_length(p_name)
      using errcode = 'program_limit_exceeded';
  end if;
end
$$;

-- retry_delay is the time between the failure of an attempt and the next one, by the task's retry strategy: at most ten years,
-- none for a strategy that it cannot read.
create function absurd.retry_delay(p_strategy jsonb, p_attempt integer) returns interval
language plpgsql immutable
as $$
declare
  v_longest constant float8 := 315360000;
  v_base   float8;
  v_factor float8;
  v_power  float8;  -- logarithm of the delay
begin
  case p_strategy ->> 'kind'
    when 'fixed' then
      return make_interval(secs => coalesce(absurd.seconds_option(p_strategy, 'base_seconds'), 60));
    when 'exponential' then
      v_base := coalesce(absurd.seconds_option(p_strategy, 'base_seconds'), 30);
      v_factor := coalesce(absurd.seconds_option(p_strategy, 'factor'), 2);
      if v_base = 0 or v_factor = 0 and p_attempt > 1 then
        return interval '0';
      end if;
      v_power := ln(v_base) + case when p_attempt > 1 then (p_attempt - 1) * ln(v_factor) else 0 end;
      return make_interval(secs => least(
        case when v_power >= ln(v_longest) then v_longest
             when v_power < -20 then 0
             else v_base * power(v_factor, p_attempt - 1) end,
        absurd.seconds_option(p_strategy, 'max_seconds')));
    else
      return interval '0';
  end case;
end
$$;
