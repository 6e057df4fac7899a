/* Keys for the players: arrows step, space plays and stops, Home and End. An element's own keys stay its own. */
for (const player of document.querySelectorAll("[data-player]")) {
  player.addEventListener("keydown", function (event) {
    const animation = window["anim" + player.dataset.player];
    const own = event.target.tagName === "INPUT" || (event.key === " " && event.target.tagName === "BUTTON");
    const steps = {ArrowLeft: "previous_frame", ArrowRight: "next_frame", Home: "first_frame", End: "last_frame"};
    if (own || event.ctrlKey || event.altKey || event.metaKey || !(event.key in steps || event.key === " ")) return;
    event.preventDefault();
    if (event.key === " " && !animation.timer) {
      if (animation.current_frame === animation.frames.length - 1) animation.first_frame();
      animation.play_animation();
    } else {
      animation.pause_animation();
      if (event.key !== " ") animation[steps[event.key]]();
    }
  });
}

/* A link to a source opens it, also where the browser does not do so by itself. */
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const folded = target && target.closest("details");
  if (folded && !folded.open) {
    folded.open = true;
    target.scrollIntoView();
  }
}
addEventListener("hashchange", openTarget);
openTarget();
