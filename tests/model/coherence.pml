/* The protocol by which any number of containers live on one login (docs/coherence.md), for spin.
 *
 * What is in it: an endpoint whose refresh tokens work once and whose families end when a spent one is replayed; a
 * store; renewers (runs, open setups, a keeper: they all do the same) that are killed at any step, alone or with their
 * CLI, and started anew; a person who logs in anew by an in-place write; followers.
 *
 * FOLLOWED adds a follower, which nobody waits for, so that the rest is checked without it.
 *
 * A token is the number of its issue. Times are not in it: `due` is what a clock makes true again and again.
 *
 * Rules that can be broken on purpose, each of which must lead to a violation:
 *   NO_LOCK        the renewal lock is not taken
 *   NO_INHERIT     the CLI does not hold the lock that its renewer took
 *   NO_REREAD      the store is read before the lock is had, not after
 *   NO_RECOVER     what an earlier renewal left in its directory is thrown away
 *   NO_BASE        a renewal is published also if the store has got another login meanwhile
 *   PUBLISH_BLANK  what the CLI leaves of a refused login is published
 *   FOLLOW_BLANK   a follower passes on a file that it caught half-written
 *   DEAF           a follower that has heard of one change hears of no other
 *   NO_RETRY       who was killed or got no answer does not try again
 *   WINDOW         the CLI may be killed between the endpoint's answer and its write: the one that no client can close
 */

#define RENEWERS 2
#ifndef EXPIRIES
#define EXPIRIES 2
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef OUTAGES
#define OUTAGES 1
#endif

#define NONE 0    /* no file */
#define BLANK 255 /* a file without a login: refused, or cut off */
#define TOKENS 7

/* The endpoint: two logins, the second made by the person. */
byte family[TOKENS];
byte current[2];
bool revoked[2];
byte issued;
byte outages = OUTAGES; /* requests that get no answer */

/* The store. */
byte store;        /* .credentials.json */
bool torn;         /* somebody is writing it in place */
byte directory;    /* .claude-init/renewal/config/.credentials.json */
byte base;         /* the token that this directory was made from */
bool due;          /* the store's access token is about to expire */
bool held[RENEWERS], inherited[RENEWERS]; /* the renewal lock, by renewer and by its CLI */

/* Processes. */
bool killed[RENEWERS], cli_killed[RENEWERS];
bool cli_started[RENEWERS], cli_ended[RENEWERS];
bool answered[RENEWERS]; /* in the window */
byte copy;               /* a follower's working copy */

#define is_token(t) (t != NONE && t != BLANK)
#define usable(t) (is_token(t) && current[family[t]] == t && !revoked[family[t]])
#define read_store (torn -> BLANK : store)
#define lock_is_free (!held[0] && !held[1] && !inherited[0] && !inherited[1])

inline issue(f, t) {
  issued++;
  t = issued;
  family[t] = f;
  current[f] = t
}

/* The endpoint: a new token, or BLANK for "refused". */
inline spend(token, answer) {
  if
  :: revoked[family[token]] -> answer = BLANK
  :: else ->
    assert(current[family[token]] == token); /* never two spends of one token */
    issue(family[token], answer)
  fi
}

/* The transaction on the store: whole or not at all, by whoever holds the store's lock. */
inline publish() {
  atomic {
    if
#ifndef NO_BASE
    :: read_store != base -> skip
    :: else ->
#else
    :: true ->
#endif
      assert(is_token(directory));                 /* never what is not a login */
      assert(!usable(store) || usable(directory)); /* never a usable login replaced by a dead one */
      store = directory;
      due = false
    fi
  }
}

/* The CLI in the renewal directory. */
proctype Cli(byte i) {
  byte token, answer;
end:
  do
  :: {
      cli_started[i] -> cli_started[i] = false;
      token = directory;
      if
      :: is_token(token) ->
        if
        :: atomic { outages > 0 -> outages-- }
        :: atomic { spend(token, answer); answered[i] = true }
          atomic { directory = answer; answered[i] = false }
        fi
      :: else
      fi;
      atomic { inherited[i] = false; cli_ended[i] = true; token = 0; answer = 0 }
    } unless {
      atomic {
#ifdef WINDOW
        cli_killed[i] -> answered[i] = false;
#else
        cli_killed[i] && !answered[i] ->
#endif
        cli_killed[i] = false; cli_started[i] = false; inherited[i] = false; cli_ended[i] = true;
        token = 0; answer = 0
      }
    }
  od
}

proctype Renewer(byte i) {
  byte read;
end:
  do
  :: {
      /* 1. The lock. */
      due;
#ifdef NO_REREAD
      read = read_store;
#endif
#ifndef NO_LOCK
      atomic { lock_is_free -> held[i] = true }
#endif
      /* 2. What an earlier renewal had got and not published. */
#ifndef NO_RECOVER
      if
      :: directory != base && (is_token(directory)
#ifdef PUBLISH_BLANK
                               || directory == BLANK
#endif
                              ) -> publish()
      :: else
      fi;
#endif
      /* 3. Is it still to be done, and can it be? */
#ifndef NO_REREAD
      read = read_store;
#endif
      if
      :: due && is_token(read) && !(directory == BLANK && base == read) ->
        /* 4. The directory, made anew. */
        directory = NONE;
        base = read;
        directory = base;
        /* 5. The CLI, with the lock. */
        atomic {
          cli_ended[i] = false;
#ifndef NO_INHERIT
          inherited[i] = true;
#endif
          cli_started[i] = true
        }
        cli_ended[i] -> cli_ended[i] = false;
        /* 6. The file tells. */
        if
#ifdef PUBLISH_BLANK
        :: directory != base -> publish()
#else
        :: directory != base && is_token(directory) -> publish()
#endif
        :: else
        fi
      :: else
      fi;
      /* 7. */
      atomic { held[i] = false; read = 0 }
#ifdef NO_RETRY
      ; false
#endif
    } unless {
      atomic {
        killed[i] -> killed[i] = false; held[i] = false; read = 0
#ifdef NO_RETRY
        ; false
#endif
      }
    }
  od
}

/* Kills a renewer alone (its CLI goes on), a CLI alone, or both, as with a container. */
proctype Killer() {
  byte kills = 0, i;
end:
  do
  :: kills < KILLS ->
    atomic {
      kills++;
      if
      :: i = 0
      :: i = 1
      fi;
      if
      :: killed[i] = true
      :: cli_started[i] || inherited[i] -> cli_killed[i] = true
      :: cli_started[i] || inherited[i] -> killed[i] = true; cli_killed[i] = true
      fi
    }
    /* Dead before the next one dies. */
    !killed[i] && (!cli_killed[i] || !answered[i])
  :: break
  od
}

proctype Clock() {
  byte expiries = 0;
end:
  do
  :: expiries < EXPIRIES -> atomic { !due && !torn -> due = true; expiries++ }
  :: break
  od
}

/* The endpoint ends the first login at some time, or never; a person logs in anew, or does not. */
proctype Person() {
  byte token;
  if
  :: skip
  :: revoked[0] = true
  fi;
  if
  :: skip
  :: atomic { issue(1, token); torn = true }
    atomic { store = token; torn = false; due = false }
    if
    :: skip
    :: revoked[0] = true
    fi
  fi
}

proctype Follower() {
  byte read;
end:
  do
  :: copy != read_store ->
    read = read_store;
#ifndef FOLLOW_BLANK
    if
    :: read == BLANK -> skip
    :: else -> copy = read
    fi;
#else
    copy = read;
#endif
    assert(is_token(copy)) /* blanked or broken content is never passed on */
#ifdef DEAF
    ; break
#endif
  od
}

init {
  atomic {
    issue(0, store);
    copy = store;
    run Renewer(0);
    run Renewer(1);
    run Cli(0);
    run Cli(1);
    run Killer();
    run Clock();
#ifdef FOLLOWED
    run Follower();
#endif
    run Person()
  }
}

/* A renewal always comes while somebody who may renew lives, and everybody hears of it. */
ltl renewed { [] ((due && !revoked[family[store]]) -> <> (!due || revoked[family[store]])) }
ltl followed { [] (copy != store -> <> (copy == store)) }
