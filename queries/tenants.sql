-- name: MyTenants :one
-- MyTenants returns the tenants that this session may use; nil: all.
select my_tenants::text[] from absurd.my_tenants();

-- name: ChooseTenant :exec
-- ChooseTenant has the rest of the transaction act for one tenant. See ForTenant.
select set_config('absurd.tenant', @tenant, true);

-- name: AllowTenant :exec
-- AllowTenant lets a login role use a tenant: "" for what has none, "*" for all. Only the engine's owner may. ErrInvalidOption.
select absurd.allow_tenant(p_role => @role, p_tenant => @tenant);

-- name: DisallowTenant :exec
-- DisallowTenant takes back what AllowTenant gave. A role that has nothing left may use tenant "".
select absurd.disallow_tenant(p_role => @role, p_tenant => @tenant);

-- name: ListTenantRoles :many
-- ListTenantRoles returns which role may use which tenant.
select role_name, tenant from absurd.list_tenant_roles();

-- name: CreateRoles :one
-- CreateRoles makes those roles for users of the database that are missing, gives all of them their rights, and returns how many it
-- made. Where the session may not make roles, the server sends a warning that says what an administrator has to do.
select absurd.create_roles()::integer;

-- name: ListRoles :many
-- ListRoles returns the roles for users of the database: the kind of user (producer, client, worker, operator, viewer, tester), the
-- name of the role, and whether it has been made.
select kind, role_name, made from absurd.list_roles();

-- name: ApplyRights :exec
-- ApplyRights gives the roles of ListRoles their rights, where they were made by other means than CreateRoles.
select absurd.apply_rights();
