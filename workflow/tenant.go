package workflow

import (
	"context"

	"github.com/absurdgen/absurdgen/workflow/internal/store"
)

// stepTenant returns the tenant of the task whose step ctx is of; empty: none.
func stepTenant(ctx context.Context) string {
	if step, ok := ctx.Value(stepContextKey{}).(*stepContext); ok {
		return step.info.tenant
	}
	return ""
}

// on returns the store as the client uses it in ctx: for its own tenant, or else for that of the step which calls.
func (c *Client) on(ctx context.Context) store.Store {
	if c.options.Tenant == "" {
		if tenant := stepTenant(ctx); tenant != "" {
			return c.store.For(tenant)
		}
	}
	return c.own
}

// tenantsTasks gives those tasks the step's tenant that have none.
func (c *Client) tenantsTasks(ctx context.Context, tasks []store.Spawn) {
	if c.options.Tenant == "" {
		fillTenant(tasks, stepTenant(ctx))
	}
}

func fillTenant(tasks []store.Spawn, tenant string) {
	for i := range tasks {
		if o := &tasks[i].Options; o.Tenant == "" {
			o.Tenant = tenant
		}
	}
}
