"""Authorization of id tokens: authorizer, authorization cache, local authorization list, owner's cards."""
